import sys; sys.path.insert(0,'/work/main/tests/browser')
from api_scene import Scene
def test_x(chromium,address,furnished):
    db=furnished(); page=chromium.new_page()
    page.on("console", lambda m: print('C',m.type,m.text)); page.on('pageerror',lambda f: print('E',f))
    page.on("response", lambda r: print('R',r.status,r.request.method,r.url, r.headers.get('content-type')))
    page.goto(address)
    page.evaluate("for (const n of ['htmx:response:error','htmx:after:request','htmx:error','htmx:after:swap','htmx:before:request']) document.addEventListener(n,e=>console.log(n,e.target.tagName))")
    Scene(db).act("a0001","resolve",actor="x")
    page.keyboard.press("j"); page.keyboard.press("a"); page.wait_for_timeout(1500)
    print('notice',page.inner_text('#notice'), page.locator('.row').count())
