// "Read your own threshold": the best accuracy of every published run against d, a level and delta
// to drag, and what they make of d*. Counting and rounding are those of dofbook.success.
explore.register("threshold", (root, data) => {
  const { make, svg, menu, slider, scale, bold } = explore;
  const Z = 1.959963984540054; // 97.5 % of the normal distribution: Wilson intervals of 95 %
  const SLACK = 1e-9; // 1 - 0.1 and 9/10 are not the same float
  const SEEDS = [3, 5, 10];
  const TOP = 99.5; // the axis is logarithmic in the errors, or the levels of interest lie in a heap
  const HIT = "#009E73", STAR = "#D55E00";
  const [INK, MUTED, SURFACE] = ["text-base", "text-muted", "surface"]
    .map((name) => `var(--pst-color-${name})`);
  const phone = matchMedia("(max-width: 600px)");
  const picked = (items, name) => items.find((item) => item.name === name);
  const names = (items) => items.map(({ name }) => [name, name]);
  const share = (x) => x.toFixed(2);

  // Menus as wide as their words, so that two rows of them fit a phone.
  const looks = { class: "explore-controls", style: "display: flex; flex-wrap: wrap" };
  const menus = make("div", looks, root);
  const first = data.panels[0];
  const panel = menu(menus, { label: "Data and network", options: names(data.panels),
    value: first.name }, refill);
  const metric = menu(menus, { label: "Accuracy", value: "train",
    options: [["train", "training"], ["test", "test"]] }, draw);
  const curve = menu(menus, { label: "Subspaces", options: names(first.curves),
    value: first.curves[0].name }, refill);
  const seeds = menu(menus, { label: "Seeds", options: [], value: "" }, draw);
  const sliders = make("div", { class: "explore-controls", style: "margin: 0.5rem 0" }, root);
  const level = slider(sliders, { label: "Level of accuracy", min: 10, max: TOP, step: 0.5,
    value: 90, show: (now) => `${now}%` }, draw);
  const delta = slider(sliders, { label: "Share allowed to fail, δ", min: 0.01, max: 0.5,
    step: 0.01, value: 0.1, show: share }, draw);
  const picture = explore.canvas(root, 720, 560,
    "Above, the best accuracy of every run against d; below, the share of runs that succeed.");
  const words = explore.reading(root, "threshold");
  phone.addEventListener("change", draw);
  refill();

  // The other menus offer what there is for the first, and keep what was chosen where they can.
  function refill() {
    const { curves } = picked(data.panels, panel.value);
    offer(curve, names(curves), 0);
    const most = picked(curves, curve.value).train[0].length;
    const counts = [...SEEDS.filter((n) => n < most), most];
    offer(seeds, counts.map((n) => [n, n]), counts.length - 1);
    draw();
  }

  function offer(list, options, otherwise) {
    const now = list.value;
    list.input.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
    list.value = now;
    if (list.input.selectedIndex < 0) list.input.selectedIndex = otherwise;
  }

  function wilson(k, n) {
    const p = k / n, q = 1 + Z ** 2 / n;
    const centre = (p + Z ** 2 / (2 * n)) / q;
    const half = (Z / q) * Math.sqrt((p * (1 - p)) / n + Z ** 2 / (4 * n ** 2));
    return [k === 0 ? 0 : centre - half, k === n ? 1 : centre + half];
  }

  // The smallest d with successes enough, and the set of d that the intervals can't exclude.
  function read(values, n) {
    const wanted = 1 - delta.value - SLACK;
    const hits = values.map((row) => row.filter(succeeds).length);
    const ends = hits.map((k) => wilson(k, n));
    const needed = Math.max(Math.ceil(wanted * n), 1);
    const possible = ends.findIndex(([, high]) => high >= wanted);
    return {
      hits, ends, needed,
      at: hits.findIndex((k) => k >= needed),
      low: Math.max((possible < 0 ? hits.length : possible) - 1, 0),
      high: ends.findLastIndex(([low]) => low < wanted) + 1,
    };
  }

  function succeeds(value) { // null: the run diverged
    return value !== null && value >= Math.round(100 * level.value);
  }

  function draw() {
    const { dims, ...runs } = picked(picked(data.panels, panel.value).curves, curve.value);
    const n = Number(seeds.value);
    const values = runs[metric.value].map((row) => row.slice(0, n));
    const found = read(values, n);
    drawPicture(dims, values, n, found);
    tell(dims, n, found);
  }

  function drawPicture(dims, values, n, { hits, ends, needed, at }) {
    const tall = phone.matches ? 70 : 0, radius = phone.matches ? 6 : 4.5;
    const upper = { left: 84, right: 706, top: 30, bottom: 260 + tall };
    const lower = { ...upper, top: upper.bottom + 50, bottom: upper.bottom + 210 + tall };
    picture.replaceChildren();
    picture.setAttribute("viewBox", `0 0 720 ${lower.bottom + 52}`);
    const margin = 2 ** 0.4, last = dims.length - 1;
    const x = scale([dims[0] / margin, dims[last] * margin], [upper.left, upper.right], 2);
    const missed = scale([100, 100 - TOP], [upper.bottom, upper.top], 10);
    const y = (accuracy) => missed(Math.max(100 - accuracy, 100 - TOP));
    const p = scale([-0.07, 1.07], [lower.bottom, lower.top]);
    const octaves = dims.filter((d) => Number.isInteger(Math.log2(d)));
    const some = octaves.filter((d, i) => (octaves.length - 1 - i) % 2 === 0);
    const xTicks = (some.length > 1 ? some : dims).map((d) => [d, d]);
    const label = metric.value === "train" ? "training" : "test";
    explore.axes(picture, upper, { x, y, xTicks: [], xLabel: "",
      yTicks: [...[0, 50, 80, 90, 95, 98, 99].map((v) => [v, v]), [TOP, `≥ ${TOP}`]],
      yLabel: `best ${label} accuracy (%), stretched towards 100` });
    explore.axes(picture, lower, { x, y: p, xTicks, xLabel: "training dimension d",
      yTicks: [[0, "0"], [0.5, "0.5"], [1, "1"]], yLabel: "share of runs at or above the level" });

    const rule = (path, look) => svg("path", { d: path, fill: "none", ...look }, picture);
    const dashed = { stroke: INK, "stroke-width": 1.5, "stroke-dasharray": "6 4" };
    rule(`M${upper.left} ${y(level.value)}H${upper.right}`, dashed);
    rule(`M${lower.left} ${p(1 - delta.value)}H${lower.right}`, dashed);
    svg("text", { x: lower.left + 8, y: p(1 - delta.value) + 22, class: "explore-label" }, picture,
      "1 − δ");
    if (at >= 0) {
      const look = { stroke: STAR, "stroke-width": 6, opacity: 0.6 }; // beside the interval too
      rule(`M${x(dims[at])} ${upper.top}V${upper.bottom}M${x(dims[at])} ${lower.top}V${lower.bottom}`,
        look);
    }
    const room = at >= 0 && x(dims[at]) < upper.right - 160;
    svg("text", { x: at < 0 ? upper.right : x(dims[at]) + (room ? 8 : -8), y: upper.bottom - 10,
      "text-anchor": room ? "start" : "end", class: "explore-label" }, picture, star(dims, at));

    const dot = (cx, cy, r, filled, parent) => svg("circle", { cx, cy, r, "stroke-width": 1.5,
      fill: filled ? HIT : SURFACE, stroke: filled ? SURFACE : MUTED }, parent);
    const apart = Math.min(3.5, (0.7 * (x(dims[last]) - x(dims[0]))) / Math.max(last, 1) / n);
    values.forEach((row, i) => row.forEach((value, seed) => {
      if (value === null) return;
      dot(x(dims[i]) + apart * (seed - (n - 1) / 2), y(value / 100), radius, succeeds(value),
        picture);
    }));
    hits.forEach((k, i) => {
      const [low, high] = ends[i], enough = k >= needed;
      const group = svg("g", { "data-d": dims[i] }, picture);
      svg("title", {}, group, `d = ${dims[i]}: ${k} of ${n}, ${interval(ends[i])}`);
      svg("path", { d: `M${x(dims[i])} ${p(low)}V${p(high)}`, "stroke-width": 3,
        stroke: enough ? HIT : MUTED }, group);
      dot(x(dims[i]), p(k / n), radius + 1.5, enough, group);
    });
  }

  function interval([low, high]) {
    return `95% interval ${share(low)} to ${share(high)}`;
  }

  function star(dims, at) {
    return at < 0 ? `d* > ${dims.at(-1)}` : `d* ${at === 0 ? "≤" : "="} ${dims[at]}`;
  }

  function tell(dims, n, { hits, ends, needed, at, low, high }) {
    const seen = at < 0 ? dims.length - 1 : at;
    const before = at > 0 ? `at d = ${dims[at - 1]}, ${hits[at - 1]} did; ` : "";
    const from = low > 0 ? dims[low] : `at most ${dims[0]}`;
    const to = high < dims.length ? dims[high] : `above ${dims.at(-1)}`;
    words.replaceChildren(
      `With ${n} seeds, `, bold("star", star(dims, at)), ": at least ",
      bold("needed", `${needed} of ${n}`), ` runs must reach ${level.value}%; ${before}`,
      `at d = ${dims[seen]}, `, bold("hits", hits[seen]), ` did (${interval(ends[seen])}). `,
      "By these intervals, d* may lie anywhere from ", bold("range", `${from} to ${to}`), ".",
    );
  }
});
