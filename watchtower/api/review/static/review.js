/* Keys for those who review many: j k Enter a r s ?. Everything they do is a link or a form that is there anyway. */
"use strict";
(() => {
  const rows = () => [...document.querySelectorAll(".rows > .row")];
  const notice = document.getElementById("notice");
  const help = document.getElementById("help");
  let timer = 0;

  function say(text) {
    notice.textContent = text;
    clearTimeout(timer);
    timer = setTimeout(() => { notice.textContent = ""; }, 6000);
  }

  function current() {
    return document.activeElement.closest(".rows > .row") || document.querySelector(".row.at");
  }

  function go(row) {
    if (!row) return;
    document.querySelectorAll(".row.at").forEach((other) => other.classList.remove("at"));
    row.classList.add("at");
    const link = row.querySelector("a.row-link");
    if (link) link.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }

  function step(by) {
    const all = rows();
    const at = all.indexOf(current());
    go(at < 0 ? all[by > 0 ? 0 : all.length - 1] : all[Math.min(Math.max(at + by, 0), all.length - 1)]);
  }

  /* htmx takes over a form a moment after the page is there. A key pressed before that waits for it (2 s at most:
     without it the form is sent as any form is). */
  function click(button, tries = 40) {
    const form = button.form;
    if (tries && form && form.matches("[hx-post]:not([data-htmx-powered])")) setTimeout(click, 50, button, tries - 1);
    else button.click();
  }

  function press(key) {
    const row = current();
    const place = row || (rows().length ? null : document);
    const button = place && place.querySelector(`button[data-key="${key}"]`);
    if (button) click(button);
    else if (!row && rows().length) step(1);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    if (help.open) {
      if (event.key === "?") help.close();
      return;
    }
    if (event.repeat && "ars".includes(event.key)) return;
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if ("ars".includes(event.key) && event.key.length === 1) press(event.key);
    else if (event.key === "?") help.showModal();
    else if (event.key === "Enter" && document.activeElement === document.body && current()) current().querySelector("a.row-link").click();
    else return;
    event.preventDefault();
  });

  document.addEventListener("focusin", (event) => {
    const row = event.target.closest(".rows > .row");
    if (!row || row.classList.contains("at")) return;
    document.querySelectorAll(".row.at").forEach((other) => other.classList.remove("at"));
    row.classList.add("at");
  });

  /* After an action the row is replaced by its new state. Where the eye was on that row it goes on to the next
     one; where the reviewer has moved on meanwhile, nothing moves. */
  const places = new WeakMap();
  document.addEventListener("htmx:before:request", (event) => {
    places.set(event.detail.ctx, rows().indexOf(event.target.closest(".rows > .row")));
  });
  document.addEventListener("htmx:after:swap", (event) => {
    const ctx = event.detail.ctx;
    const place = places.get(ctx);
    if (place === undefined || place < 0 || ctx.response.status >= 400) return;
    const all = rows();
    const done = all[place];
    if (done) say(`${done.querySelector(".row-link").textContent}: ${done.dataset.status}`);
    if (document.activeElement === document.body) go(all.slice(place + 1).find((row) => !row.classList.contains("done")) || done);
  });
  document.addEventListener("htmx:response:error", (event) => {
    let words = "";
    try { const told = JSON.parse(event.detail.ctx.text); words = [told.detail, told.remedy].filter(Boolean).join(". "); }
    catch { words = `the service answered ${event.detail.ctx.response.status}`; }
    say(`Not done: ${words}`);
  });
  document.addEventListener("htmx:error", () => say("Not done: the service does not answer."));
})();
