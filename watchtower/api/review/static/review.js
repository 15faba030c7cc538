/* Keys for those who review many: j k Enter a r s f x X u c / ?. Everything they do is a link or a form that is there anyway. */
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
    if (!all.length && by > 0) return document.querySelector('a[data-key="j"]')?.click();
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

  const many = { a: ["acknowledge", "accept"], r: ["resolve", "reject"], s: ["snooze"], f: ["false_alarm"] };

  function press(key) {
    const bulk = document.getElementById("bulk");
    if (bulk && many[key] && document.querySelector(".pick:checked")) {
      const button = [...bulk.querySelectorAll("button")].find((one) => many[key].includes(one.value));
      if (button) button.click();
      return;
    }
    const row = current();
    const place = row || (rows().length ? null : document);
    const button = place && place.querySelector(`button[data-key="${key}"]`);
    if (button) click(button);
    else if (!row && rows().length) step(1);
  }

  function pick() {
    const box = current() && current().querySelector(".pick");
    if (box) box.click();
    else if (!current()) step(1);
  }

  /* All on this page, or none; with the shift key all from the box that was clicked before. */
  function pickAll(on) {
    document.querySelectorAll(".row:not(.done, .gone) > .pick").forEach((box) => { box.checked = on; });
    count();
  }

  function count() {
    const boxes = [...document.querySelectorAll(".row > .pick")], on = boxes.filter((box) => box.checked).length;
    const told = document.querySelector("[data-picked]"), every = document.getElementById("pick-all");
    if (told) told.textContent = on;
    if (every) { every.checked = on > 0 && on === boxes.length; every.indeterminate = on > 0 && on < boxes.length; }
  }

  let before = null;
  document.addEventListener("click", (event) => {
    if (!event.target.matches(".row > .pick")) return;
    const all = [...document.querySelectorAll(".row > .pick")], from = all.indexOf(before), to = all.indexOf(event.target);
    if (event.shiftKey && from >= 0) all.slice(Math.min(from, to), Math.max(from, to) + 1).forEach((box) => { box.checked = event.target.checked; });
    before = event.target;
    count();
  });

  /* Times in the reader's zone; on hover the exact one of that zone and of UTC. */
  const clock = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
  function local(place) {
    for (const time of place.querySelectorAll("time[datetime]:not([data-local])")) {
      const at = new Date(time.dateTime);
      if (isNaN(at)) continue;
      time.dataset.local = "";
      time.title = `${clock.format(at)} (${time.dateTime})`;
      if ("exact" in time.dataset) time.textContent = clock.format(at);
    }
  }

  async function copy(button) {
    const link = new URL(button.dataset.copy, location.href).href;
    try { await navigator.clipboard.writeText(link); say("The link is copied."); }
    catch { say(`It cannot be copied here: ${link}`); }
  }

  document.documentElement.classList.add("scripted");
  local(document);
  document.querySelectorAll("button.copy").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  });

  /* The last row that was acted on, what was done to many, or the alert of this page. */
  let last = "";
  function undo() {
    const row = rows().find((one) => one.dataset.id === last);
    const many = document.querySelector('.did button[data-key="u"]');
    const button = row ? row.querySelector('button[data-key="u"]') : many || (rows().length ? null : document.querySelector('button[data-key="u"]'));
    if (button) click(button);
    else say(last ? "That cannot be taken back here." : "There is nothing to undo yet.");
  }

  function search() {
    const field = document.getElementById("q");
    if (field) { field.focus(); field.select(); }
    else location.assign("/");
  }

  /* Many take a moment. A second press meanwhile would do them twice, and be told that they have changed. */
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches(".bulk, .did")) return;
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    clearTimeout(timer);
    notice.textContent = "One moment: it is being done.";
  });
  addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => { delete form.dataset.sent; notice.textContent = ""; }));

  document.addEventListener("change", (event) => {
    if (event.target.id === "pick-all") pickAll(event.target.checked);
    else if (event.target.matches(".pick")) count();
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape" && event.target.id === "q") return event.target.blur();
    if (event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) return;
    if (help.open) {
      if (event.key === "?") help.close();
      return;
    }
    if (event.repeat && "arsfxu".includes(event.key)) return;
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if ("arsf".includes(event.key) && event.key.length === 1) press(event.key);
    else if (event.key === "x") pick();
    else if (event.key === "X") pickAll(!document.getElementById("pick-all")?.checked);
    else if (event.key === "c") document.querySelector("button.copy")?.click();
    else if (event.key === "u") undo();
    else if (event.key === "/") search();
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
    const row = event.target.closest(".rows > .row");
    if (row) places.set(event.detail.ctx, row.dataset.id);
  });
  document.addEventListener("htmx:after:swap", (event) => {
    const ctx = event.detail.ctx;
    const id = places.get(ctx);
    if (!id || ctx.response.status >= 400) return;
    const all = rows();
    const place = all.findIndex((row) => row.dataset.id === id);
    const done = all[place];
    last = id;
    if (done) local(done);
    if (done) say(`${done.querySelector(".row-link").textContent}: ${done.dataset.status}`);
    if (document.activeElement === document.body) go(all.slice(place + 1).find((row) => !row.classList.contains("done")) || done);
  });
  document.addEventListener("htmx:response:error", (event) => {
    let words = "";
    const status = event.detail.ctx.response.status;
    try { const told = JSON.parse(event.detail.ctx.text); words = [told.detail, told.remedy].filter(Boolean).join(". "); }
    catch { words = `the service answered ${status}`; }
    say(`Not done: ${words}`);
    if (status === 412) refresh();
  });
  document.addEventListener("htmx:error", () => say("Not done: the service does not answer."));

  /* Live changes. The list is fetched anew and laid over the present one: rows that are the same stay as they are, what
     the reviewer is on, or has just done, stays where it is, and the focus with it. */
  const GAP = 1500;
  let fetching = false, again = false, fetched = 0;

  async function refresh() {
    if (!document.getElementById("live")) return;
    if (fetching) { again = true; return; }
    fetching = true;
    try {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, fetched + GAP - Date.now())));
      fetched = Date.now();
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.ok && !answer.redirected) lay(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { /* the next change asks again */ }
    fetching = false;
    if (again) { again = false; refresh(); }
  }

  function lay(fresh) {
    const next = fresh.getElementById("live"), here = document.getElementById("live");
    if (!next) return;
    const old = rows();
    const known = new Map(old.map((row) => [row.dataset.id, row]));
    const focused = document.activeElement.closest(".rows > .row");
    const on = focused && [...focused.querySelectorAll("a, button, input")].indexOf(document.activeElement);
    const added = [];
    for (const row of next.querySelectorAll(".rows > .row")) {
      const mine = known.get(row.dataset.id);
      if (mine && (mine.dataset.revision === row.dataset.revision || mine.classList.contains("done"))) row.replaceWith(mine);
      else {
        if (mine && mine.classList.contains("at")) row.classList.add("at");
        added.push(row);
      }
    }
    let before = null;
    for (const row of old) {
      const stays = row.classList.contains("done") || row.classList.contains("at");
      if (stays && !next.querySelector(`.row[data-id="${CSS.escape(row.dataset.id)}"]`)) {
        if (before && next.contains(before)) before.after(row);
        else next.querySelector(".rows")?.prepend(row);
        if (!row.classList.contains("done")) row.classList.add("gone");
      }
      before = next.querySelector(`.row[data-id="${CSS.escape(row.dataset.id)}"]`) || before;
    }
    // A note half written in the bar stays, and the eye in it.
    const bar = here.querySelector("#bulk"), newBar = next.querySelector("#bulk"), writing = bar && bar.contains(document.activeElement) && document.activeElement;
    if (bar && newBar && (writing || [...bar.querySelectorAll("input:not([type])")].some((field) => field.value))) newBar.replaceWith(bar);
    here.replaceChildren(...next.childNodes);
    if (writing && writing.isConnected) writing.focus({ preventScroll: true });
    local(here);
    if (window.htmx) added.forEach((row) => window.htmx.process(row));
    for (const part of [".filters", ".head > p.quiet"]) {
      const mine = document.querySelector(part), new_ = fresh.querySelector(part);
      if (mine && new_ && !mine.contains(document.activeElement)) mine.replaceWith(new_);
    }
    const row = focused && rows().find((one) => one.dataset.id === focused.dataset.id);
    if (row) ([...row.querySelectorAll("a, button, input")][on] || row.querySelector("a.row-link")).focus({ preventScroll: true });
    count();
  }

  const watched = document.body.dataset.live;
  const kinds = ["opened", "resolved", "corrected", "woken", "escalated", "acknowledged", "snoozed", "reopened", "assigned", "commented"];
  let feed = null;

  function heard(event) {
    if (watched === "queue") return refresh();
    const told = event.data ? JSON.parse(event.data) : {};
    if (event.type !== "reset" && told.alert !== watched) return;
    say(`${told.actor || "watchtower"}: ${event.type.replace("alert.", "")}, just now. Load the page again to see it.`);
  }

  function watch() {
    if (!watched || document.hidden || feed) return;
    feed = new EventSource("/changes");
    for (const kind of kinds) feed.addEventListener(`alert.${kind}`, heard);
    feed.addEventListener("reset", heard);
    feed.addEventListener("open", () => { document.body.dataset.watching = "yes"; });
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { feed?.close(); feed = null; }
    else if (watched && !feed) { watch(); refresh(); }
  });
  watch();
})();
