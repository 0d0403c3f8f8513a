// Charts of use and cost, drawn by hand as SVG: bars of what each day cost, by model; a line for the exact numbers.
"use strict";

const Charts = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 288, HEIGHT = 104, TOP = 16, BASE = 86;
  const COLOURS = 5;

  function node(tag, attributes, ...children) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  const day = (text) => new Date(`${text}T00:00:00Z`).toLocaleDateString([], { day: "numeric", month: "short", timeZone: "UTC" });

  // The costliest models have a colour each; all others share the last.
  function palette(models) {
    const names = [...new Set(models.map((row) => row.model ?? "other"))];
    return (name) => Math.min(names.indexOf(name ?? "other"), COLOURS - 1);
  }

  // `items` as /v1/models/analytics says them; `say` writes an amount.
  function bars(items, colour, say) {
    const most = Math.max(...items.map((item) => Number(item.cost)), 0);
    const chart = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img" });
    const costliest = items.reduce((best, item) => (Number(item.cost) > Number(best.cost) ? item : best), items[0]);
    chart.setAttribute("aria-label", most ? `Cost by day. The most was ${say(costliest.cost)} credits on ${day(costliest.start)}.` : "Nothing was used on these days.");
    chart.append(node("line", { x1: 0, y1: BASE, x2: WIDTH, y2: BASE, class: "base" }));
    if (most) {
      chart.append(node("line", { x1: 0, y1: TOP, x2: WIDTH, y2: TOP, class: "grid" }), label(say(costliest.cost), 0, TOP - 5, "start"));
    }
    const step = WIDTH / items.length;
    const wide = Math.max(1.5, Math.min(step * 0.72, 22));
    items.forEach((item, number) => chart.append(column(item, number * step + (step - wide) / 2, wide, most, colour, say)));
    chart.append(label(day(items[0].start), 0, HEIGHT - 4, "start"), label(day(items[items.length - 1].start), WIDTH, HEIGHT - 4, "end"));
    return chart;
  }

  function column(item, x, wide, most, colour, say) {
    const group = node("g", { class: "column" });
    group.append(titled(`${day(item.start)}: ${say(item.cost)} credits, ${item.count} ${item.count === 1 ? "call" : "calls"}`));
    group.append(node("rect", { x: x - 1, y: TOP, width: wide + 2, height: BASE - TOP, class: "reach" }));
    let y = BASE;
    for (const row of item.models.filter((each) => Number(each.cost) > 0)) {
      const high = Math.max((Number(row.cost) / most) * (BASE - TOP), 1);
      y -= high;
      group.append(node("rect", { x, y, width: wide, height: high, rx: Math.min(1.5, wide / 6), class: `bar c${colour(row.model)}` }));
    }
    return group;
  }

  function titled(text) {
    const title = node("title", {});
    title.textContent = text;
    return title;
  }

  function label(text, x, y, anchor) {
    const made = node("text", { x, y, "text-anchor": anchor, class: "label" });
    made.textContent = text;
    return made;
  }

  return { palette, bars };
})();
