// What the explorable figures share: mounting, controls, axes. No library, no network, no kernel.
//
// A page holds <div class="explore" data-explore="NAME" data-fallback="ID"> with its data as JSON
// inside, and loads this script and NAME.js, which calls explore.register(NAME, draw). draw(root,
// data) fills the box and may return nothing. The static figure with the id of data-fallback is
// shown in print and where scripts do not run; elsewhere the box has its number, and links to it
// lead to the box.
window.explore = (() => {
  const NS = "http://www.w3.org/2000/svg";
  const waiting = {};

  function mount() {
    for (const root of document.querySelectorAll(".explore[hidden]")) {
      const draw = waiting[root.dataset.explore];
      if (!draw) continue;
      draw(root, JSON.parse(root.querySelector("script").textContent));
      root.hidden = false;
      const figure = document.getElementById(root.dataset.fallback);
      figure?.classList.add("explore-fallback");
      const number = figure?.querySelector(".caption-number")?.textContent.trim();
      if (number) make("p", { class: "explore-number" }, root, number);
    }
  }

  function lead(hash) {
    for (const root of document.querySelectorAll(".explore:not([hidden])"))
      if (hash === `#${root.dataset.fallback}`) root.scrollIntoView();
  }
  addEventListener("load", () => lead(location.hash));
  addEventListener("hashchange", () => lead(location.hash));
  addEventListener("click", ({ target }) => { // once more, where the address does not change
    const link = target.closest?.("a[href^='#']");
    if (link) setTimeout(() => lead(link.hash));
  });

  function register(name, draw) {
    waiting[name] = draw;
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", mount);
    else mount();
  }

  // Makes an HTML element; children are elements or text.
  function make(tag, attributes = {}, parent = null, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    parent?.append(node);
    return node;
  }

  // Makes an SVG element; an existing one is changed with set.
  function svg(tag, attributes = {}, parent = null, text = null) {
    const node = set(document.createElementNS(NS, tag), attributes);
    if (text !== null) node.textContent = text;
    parent?.append(node);
    return node;
  }

  function set(node, attributes) {
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  }

  // An SVG that fills the box's width, drawn in units of `width` x `height`.
  function canvas(root, width, height, description) {
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" }, root);
    picture.setAttribute("aria-label", description);
    return picture;
  }

  // A labelled native slider; onchange(value) is called at every change. `show` writes
  // the value beside the label. Returns an object with a `value` to read and to set.
  function slider(root, { label, min, max, step, value, show = String }, onchange) {
    const box = make("label", { class: "explore-control" }, root);
    const words = make("span", {}, box, label, " ");
    const output = make("output", {}, words);
    // The output takes the label for itself, so the slider needs a name of its own.
    const input = make("input", { type: "range", min, max, step, value, "aria-label": label }, box);
    return listen(input, "input", () => Number(input.value), onchange, (now) => {
      output.textContent = show(now);
      input.setAttribute("aria-valuetext", show(now));
    });
  }

  // A labelled native menu of [value, words] pairs, as slider.
  function menu(root, { label, options, value }, onchange) {
    const box = make("label", { class: "explore-control" }, root, make("span", {}, null, label));
    const input = make("select", {}, box);
    for (const [key, words] of options) make("option", { value: key }, input, words);
    input.value = value;
    return listen(input, "change", () => input.value, onchange, () => {});
  }

  function listen(input, event, read, onchange, show) {
    const tell = () => { show(read()); onchange(read()); };
    input.addEventListener(event, tell);
    show(read());
    return {
      input,
      get value() { return read(); },
      set value(now) { input.value = now; show(read()); },
    };
  }

  // A line of text that screen readers hear when it changes; `id` is what tests read.
  function reading(root, id) {
    return make("p", { class: "explore-reading", "aria-live": "polite", "data-reading": id }, root);
  }

  // A number or word of a reading, set off; `id` as there.
  function bold(id, text) {
    return make("strong", { "data-reading": id }, null, text);
  }

  // A scale from [a, b] to [from, to]; base is null (linear) or the base of a logarithm.
  function scale([a, b], [from, to], base = null) {
    const f = base ? (x) => Math.log(x) / Math.log(base) : (x) => x;
    return (x) => from + ((f(x) - f(a)) / (f(b) - f(a))) * (to - from);
  }

  // Axes with ticks given as [value, words]; x at the bottom, y at the left of `frame`.
  function axes(picture, frame, { x, y, xTicks, yTicks, xLabel, yLabel }) {
    const { left, right, top, bottom } = frame;
    const group = svg("g", { class: "explore-axes" }, picture);
    svg("path", { d: `M${left} ${top}V${bottom}H${right}` }, group);
    for (const [value, words] of xTicks) {
      svg("path", { d: `M${x(value)} ${bottom}v5` }, group);
      svg("text", { x: x(value), y: bottom + 20, "text-anchor": "middle" }, group, words);
    }
    for (const [value, words] of yTicks) {
      svg("path", { d: `M${left} ${y(value)}h-5` }, group);
      svg("text", { x: left - 9, y: y(value) + 5, "text-anchor": "end" }, group, words);
    }
    const middle = (left + right) / 2;
    svg("text", { x: middle, y: bottom + 42, "text-anchor": "middle" }, group, xLabel);
    svg("text", { x: left, y: top - 10, "text-anchor": "start" }, group, yLabel);
    return group;
  }

  // Axes of a probability against d = 0, ..., D; gives their scales x and y.
  function chances(picture, frame, D, xLabel, yLabel) {
    const x = scale([0, D], [frame.left, frame.right]);
    const y = scale([0, 1], [frame.bottom, frame.top]);
    const xTicks = [0, 1, 2, 3, 4].map((i) => Math.round((i * D) / 4)).map((d) => [d, d]);
    axes(picture, frame, { x, y, xTicks, xLabel, yLabel, yTicks: [[0, "0"], [0.5, "0.5"], [1, "1"]] });
    return { x, y };
  }

  // A path through points, broken where a coordinate is not finite.
  function line(points) {
    let pen = "M";
    return points.map(([x, y]) => {
      if (!(Number.isFinite(x) && Number.isFinite(y))) { pen = "M"; return ""; }
      const piece = `${pen}${x.toFixed(2)} ${y.toFixed(2)}`;
      pen = "L";
      return piece;
    }).join("");
  }

  // Attributes of a line: a colour, or [in light, in dark], and perhaps the dash pattern and width.
  function ink(colour, dash = "none", width = 3) {
    const [light, dark] = [colour, colour].flat().slice(0, 2);
    return { fill: "none", stroke: light, style: `stroke: light-dark(${light}, ${dark})`,
      "stroke-dasharray": dash, "stroke-width": width };
  }

  // The key to a picture: [words, attributes] pairs, each beside a piece of its line.
  function legend(root, entries) {
    const box = make("p", { class: "explore-legend" }, root);
    for (const [words, look] of entries) {
      const sample = svg("svg", { viewBox: "0 0 40 10", "aria-hidden": true });
      svg("path", { d: "M0 5H40", ...look }, sample);
      make("span", {}, box, sample, ` ${words}`);
    }
    return box;
  }

  return { register, make, svg, set, canvas, slider, menu, reading, bold, scale, axes, chances, line,
    ink, legend };
})();
