/* Usage plots that can be zoomed into, by dragging or by the buttons; double-click shows all again. Without scripts the
   picture that the server drew stays; with them it stays for screen readers, and the table of the numbers for all. */
"use strict";
(() => {
  const numbers = (text) => (text ? text.split(",").map(Number) : []);
  const DAY = 86400;
  const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  const two = (number) => String(number).padStart(2, "0");

  /* 26 Nov, at midnight; else 26 Nov 14:00; of January the year. */
  function day(seconds) {
    const at = new Date(seconds * 1000), words = `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
    if (seconds % DAY) return `${words} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
    return at.getUTCMonth() || at.getUTCDate() > 1 ? words : `${words} ${at.getUTCFullYear()}`;
  }

  function draw(figure) {
    const times = numbers(figure.dataset.times), values = numbers(figure.dataset.values);
    const usual = Number(figure.dataset.usual), recent = Number(figure.dataset.recent), since = Number(figure.dataset.since);
    const marks = numbers(figure.dataset.marks);
    const first = times[0], last = times[times.length - 1];
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const ink = colour("--quiet"), grid = { stroke: colour("--line"), width: 1 };

    figure.querySelector(".drawing")?.remove();
    const place = document.createElement("div");
    place.className = "drawing";
    const ranges = document.createElement("div");
    ranges.className = "ranges";
    place.append(ranges);
    figure.prepend(place);
    figure.classList.add("drawn");

    const shown = (plot) => {
      figure.dataset.shown = [plot.scales.x.min, plot.scales.x.max].map(Math.round).join(",");
    };
    const vertical = (plot) => {
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.strokeStyle = colour("--ai");
      ctx.lineWidth = 2 * devicePixelRatio;
      ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
      for (const at of marks) {
        const x = Math.round(plot.valToPos(at, "x", true));
        if (x < bbox.left || x > bbox.left + bbox.width) continue;
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
      }
      ctx.restore();
    };
    const width = () => place.clientWidth - 16;
    const plot = new uPlot({
      width: width(), height: 200,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      scales: { y: { range: (self, low, high) => [Math.min(0, low), high > 0 ? high * 1.05 : 1] } },
      axes: [{ stroke: ink, grid, ticks: grid, values: (self, splits) => splits.map(day) }, { stroke: ink, grid, ticks: grid, size: 56 }],
      series: [
        { label: "When", value: "{YYYY}-{MM}-{DD} {HH}:{mm}" },
        { label: figure.dataset.name, stroke: colour("--shade-1"), width: 2, points: { show: times.length < 60 } },
        { label: "usually", stroke: ink, dash: [5, 4], width: 1, points: { show: false } },
        { label: "of late", stroke: colour("--critical"), width: 2, points: { show: false } },
      ],
      hooks: { setScale: [shown], draw: [vertical] },
    }, [times, values, times.map(() => usual), times.map((at) => (at >= since ? recent : null))], place);

    for (const [words, days] of [["30 days", 30], ["90 days", 90], ["All", 0]]) {
      if (days && last - first < days * DAY) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "small";
      button.textContent = words;
      button.setAttribute("aria-label", `${figure.dataset.name}: ${words}`);
      button.addEventListener("click", () => plot.setScale("x", { min: days ? last - days * DAY : first, max: last }));
      ranges.append(button);
    }
    const hint = document.createElement("span");
    hint.className = "quiet";
    hint.textContent = "Drag to zoom, double-click for all";
    ranges.append(hint);
    return { plot, width };
  }

  let drawn = [];
  const all = () => { drawn = [...document.querySelectorAll("figure.zoom")].map(draw); };
  all();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  let wait = 0;
  addEventListener("resize", () => {
    clearTimeout(wait);
    wait = setTimeout(() => drawn.forEach(({ plot, width }) => plot.setSize({ width: width(), height: 200 })), 100);
  });
})();
