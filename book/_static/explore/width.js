// How far a set of the plane reaches in a direction g, and the mean over Gaussian g: its width.
explore.register("width", (root, { sets }) => {
  const { make, svg, set, canvas, slider, menu, reading, scale, axes, line, ink } = explore;
  const SIZE = 420, HALF = 2.1, MOST = 10000, ORANGE = "#D55E00";
  const columns = make("div", { class: "explore-columns" }, root);
  const picture = canvas(make("div", {}, columns), SIZE, SIZE,
    "A set between the two lines that touch it, orthogonal to a direction g.");
  const side = make("div", {}, columns), blue = (...rest) => ink(["#0072B2", "#56B4E9"], ...rest);
  const px = scale([-HALF, HALF], [0, SIZE]), py = scale([-HALF, HALF], [SIZE, 0]);
  const draw = (points) => line(points.map(([a, b]) => [px(a), py(b)]));

  const shape = (attributes) => svg("path", { fill: "none", "stroke-width": 2, ...attributes },
    picture);
  const outline = shape({ stroke: "#009E73", "stroke-width": 3, "fill-opacity": 0.3 });
  const touching = shape({ stroke: "currentColor", "stroke-dasharray": "7 5", "stroke-width": 1.5 });
  const reach = shape({ ...blue("none", 7), "stroke-opacity": 0.55 });
  const arrow = shape({ stroke: ORANGE, "stroke-width": 3 });
  const marks = [0, 1].map(() => svg("circle", { r: 3, ...blue("none", 6) }, picture));
  svg("circle", { cx: px(0), cy: py(0), r: 4, fill: "currentColor" }, picture);
  const name = svg("text", { class: "explore-label", "text-anchor": "middle" }, picture, "g");

  const box = make("div", { class: "explore-controls" }, side);
  const support = reading(side, "support"), mean = reading(side, "mean");
  const curve = canvas(side, SIZE, 200, "The running mean against the number of draws.");
  const chosen = { length: 1, angle: 35 }; // g, by its length and its angle in degrees
  let now, random, draws, sum, squares, trail, plot, path, turn;

  // Mulberry32: the same stream for every reader.
  const stream = (seed) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };

  // The points of the set that reach furthest along the angle and against it, and how far.
  function extremes() {
    const turn = (chosen.angle * Math.PI) / 180, [c, s] = [Math.cos(turn), Math.sin(turn)];
    const along = now.points.map(([a, b]) => a * c + b * s);
    const far = [Math.max(...along), Math.min(...along)];
    return { c, s, far, touched: far.map((value) => now.points[along.indexOf(value)]) };
  }

  function show() {
    const { c, s, far, touched } = extremes(), length = chosen.length;
    set(touching, { d: far.map((r) => {
      const half = Math.sqrt(HALF ** 2 - r ** 2);
      return draw([[r * c - half * s, r * s + half * c], [r * c + half * s, r * s - half * c]]);
    }).join("") });
    set(reach, { d: draw([[0, 0], [far[0] * c, far[0] * s]]) });
    const drawn = Math.min(length, HALF - 0.3); // a longer arrow would leave the picture
    const tip = [drawn * c, drawn * s], barb = (turn) => [
      tip[0] - 0.14 * (c - turn * 0.5 * s), tip[1] - 0.14 * (s + turn * 0.5 * c)];
    set(arrow, { d: draw([[0, 0], tip]) + draw([barb(1), tip, barb(-1)]) });
    touched.forEach(([a, b], k) => set(marks[k], { cx: px(a), cy: py(b) }));
    set(name, { x: px((drawn + 0.16) * c), y: py((drawn + 0.16) * s) + 6 });
    const value = (length * far[0]).toFixed(3);
    support.innerHTML = `|g| = <strong>${length.toFixed(3)}</strong>, `
      + `h(g) = max ⟨g, u⟩ = <strong>${value}</strong>`;
    const error = Math.sqrt(Math.max(squares / draws - (sum / draws) ** 2, 0) / (draws - 1));
    mean.innerHTML = `Mean of <strong>${draws}</strong> draws: <strong>`
      + `${draws ? (sum / draws).toFixed(3) : "–"}</strong> ± <strong>`
      + `${draws > 1 ? error.toFixed(3) : "–"}</strong>; exact: w(S) = <strong>`
      + `${now.width.toFixed(3)}</strong>`;
    const inside = ([, m]) => m >= 0 && m <= 2 * now.width; // the curve breaks where it is not
    set(path, { d: line(trail.map((p) => [plot.x(p[0]), inside(p) ? plot.y(p[1]) : NaN])) });
  }

  function drawMany(count) {
    for (let k = 0; k < count; k++) {
      chosen.length = Math.sqrt(-2 * Math.log(1 - random()));
      chosen.angle = 360 * random();
      const value = chosen.length * extremes().far[0];
      draws += 1;
      sum += value;
      squares += value ** 2;
      if (draws <= MOST) trail.push([draws, sum / draws]);
    }
    turn.value = chosen.angle;
    show();
  }

  function choose(key) {
    now = sets[key];
    const { points, filled } = now;
    [random, draws, sum, squares, trail] = [stream(1), 0, 0, 0, []];
    set(outline, { d: draw(points) + (filled ? "Z" : ""), fill: filled ? "#009E73" : "none" });
    const frame = { left: 48, right: SIZE - 36, top: 30, bottom: 140 };
    plot = { x: scale([1, MOST], [frame.left, frame.right], 10),
      y: scale([0, 2 * now.width], [frame.bottom, frame.top]) };
    curve.replaceChildren();
    axes(curve, frame, { ...plot, xLabel: "draws", yLabel: "mean of h(g), and w(S)",
      xTicks: [1, 10, 100, 1000, MOST].map((n) => [n, n]),
      yTicks: [0, 1, 2].filter((v) => v < 2 * now.width).map((v) => [v, v]) });
    const level = plot.y(now.width);
    svg("path", { d: `M${frame.left} ${level}H${frame.right}`, ...blue("6 4", 2) }, curve);
    path = svg("path", { fill: "none", stroke: ORANGE, "stroke-width": 2 }, curve);
    show();
  }

  menu(box, { label: "Set S:", options: sets.map(({ name }, k) => [k, name]), value: 0 }, choose);
  turn = slider(box, { label: "Turn g:", min: 0, max: 360, step: 1, value: chosen.angle,
    show: (v) => `${v}°` }, (angle) => { chosen.angle = angle; show(); });
  const buttons = make("div", {}, box);
  for (const count of [1, 100]) {
    make("button", { type: "button" }, buttons, `Draw ${count}`)
      .addEventListener("click", () => drawMany(count));
  }
  choose(0);
});
