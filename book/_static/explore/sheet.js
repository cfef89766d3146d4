// A line through a cut of the loss: which lines through an anchor meet the target {loss <= eps}?
explore.register("sheet", (root, { x, y, loss, start, end, other }) => {
  const { make, svg, set, canvas, slider, reading, scale, line, ink, legend } = explore;
  const HIT = "#009E73", MISS = "var(--pst-color-text-muted)", RADIAN = Math.PI / 180;
  const REFINED = 4, ACROSS = 420, SKY = 32; // pieces of a cell; width; radius of the ring
  const width = x.at(-1) - x[0], height = y.at(-1) - y[0], unit = ACROSS / width;
  const columns = make("div", { class: "explore-columns" }, root);
  const picture = canvas(make("div", {}, columns), ACROSS, height * unit,
    "Map of the loss with the target, the start and a line that can be turned.");
  const side = make("div", {}, columns);
  const px = scale([x[0], x.at(-1)], [0, ACROSS]), py = scale([y[0], y.at(-1)], [height * unit, 0]);
  const place = ([a, b]) => [px(a), py(b)];

  // log10 of the loss, linear between the points of the grid; Infinity outside.
  function field(a, b) {
    const u = ((a - x[0]) / width) * (x.length - 1), v = ((b - y[0]) / height) * (y.length - 1);
    if (!(u >= 0 && v >= 0 && u <= x.length - 1 && v <= y.length - 1)) return Infinity;
    const i = Math.min(Math.floor(u), x.length - 2), j = Math.min(Math.floor(v), y.length - 2);
    const s = u - i, t = v - j;
    return (1 - t) * ((1 - s) * loss[j][i] + s * loss[j][i + 1])
      + t * ((1 - s) * loss[j + 1][i] + s * loss[j + 1][i + 1]);
  }

  // The set below a level and its edge, as two paths: marching squares on a refined grid.
  const nx = REFINED * (x.length - 1), ny = REFINED * (y.length - 1);
  const knots = Array.from({ length: ny + 1 }, (_, j) => Array.from({ length: nx + 1 }, (_, i) => {
    const [a, b] = [x[0] + (width * i) / nx, y[0] + (height * j) / ny];
    return [a, b, field(a, b)];
  }));
  function below(level) {
    let area = "", edge = "";
    for (let j = 0; j < ny; j++) for (let i = 0; i < nx; i++) {
      const corners = [knots[j][i], knots[j][i + 1], knots[j + 1][i + 1], knots[j + 1][i]];
      const ring = [], cut = [];
      corners.forEach((p, k) => {
        const q = corners[(k + 1) % 4], share = (level - p[2]) / (q[2] - p[2]);
        if (p[2] <= level) ring.push(place(p));
        if ((p[2] <= level) === (q[2] <= level)) return;
        cut.push(place([p[0] + share * (q[0] - p[0]), p[1] + share * (q[1] - p[1])]));
        ring.push(cut.at(-1));
      });
      if (ring.length) area += `${line(ring)}Z`;
      for (let k = 0; k < cut.length; k += 2) edge += line(cut.slice(k, k + 2));
    }
    return { area, edge };
  }

  const shape = (attributes) => svg("path", { fill: "none", ...attributes }, picture);
  for (const value of [0.1, 0.3, 1, 3, 10]) {
    shape({ d: below(Math.log10(value)).edge, stroke: MISS, "stroke-opacity": 0.4 });
  }
  const area = shape({ fill: "#0072B2", "fill-opacity": 0.35 });
  const edge = shape(ink(["#0072B2", "#56B4E9"], "none", 2));
  shape({ d: line([start, end].map(place)), stroke: "#D55E00", "stroke-dasharray": "2 5" });
  const ray = shape({ "stroke-width": 3 });
  const ring = shape({ stroke: MISS, "stroke-width": 6, "stroke-opacity": 0.4 });
  const sky = shape({ stroke: HIT, "stroke-width": 6 });
  for (const [at, words, down] of [[start, "start w₀", 54], [end, "trained", -14],
    [other, "another run", -14]]) {
    const [a, b] = place(at);
    svg("circle", { cx: a, cy: b, r: 5, fill: "currentColor" }, picture);
    svg("text", { x: a, y: b + down, "text-anchor": "middle", class: "explore-label" }, picture,
      words);
  }
  legend(picture.parentNode, [
    ["target", { stroke: "#0072B2", "stroke-width": 10, "stroke-opacity": 0.5 }],
    ["hits", { stroke: HIT, "stroke-width": 4 }],
    ["misses", { stroke: MISS, "stroke-width": 3, "stroke-dasharray": "9 6" }],
  ]);
  const dot = svg("circle", { r: 7, fill: "#D55E00" }, picture);

  const box = make("div", { class: "explore-controls" }, side), say = reading(side, "sheet");
  const controls = {};
  const reach = Math.hypot(width, height);

  // Does the line through an anchor meet the target, and at which ends does it leave the map?
  function follow([a, b], degrees) {
    const c = Math.cos(degrees * RADIAN), s = Math.sin(degrees * RADIAN), ends = [];
    let hit = false;
    for (let k = -400; k <= 400; k++) {
      const p = a + (k / 400) * reach * c, q = b + (k / 400) * reach * s, value = field(p, q);
      if (value < Infinity) ends[ends.length ? 1 : 0] = [p, q];
      hit ||= value <= controls.eps.value;
    }
    return { hit, ends };
  }

  function draw(changed) {
    const from = start.map((a, k) => a + (controls.anchor.value / 100) * (end[k] - a));
    const [a, b] = place(from);
    if (changed === "eps") {
      const found = below(controls.eps.value);
      set(area, { d: found.area });
      set(edge, { d: found.edge });
    }
    if (changed !== "angle") {
      const hits = [...Array(360).keys()].map((k) => k / 2).filter((k) => follow(from, k).hit);
      sky.dataset.share = hits.length / 360;
      const point = (k) => [a + SKY * Math.cos(k * RADIAN), b - SKY * Math.sin(k * RADIAN)];
      set(sky, { d: hits.flatMap((k) => [k, k + 180])
        .map((k) => line([point(k - 0.3), point(k + 0.3)])).join("") });
      set(ring, { d: line([...Array(91).keys()].map((k) => point(4 * k))) });
      set(dot, { cx: a, cy: b });
    }
    const { hit, ends } = follow(from, controls.angle.value);
    set(ray, { d: line(ends.map(place)), stroke: hit ? HIT : MISS,
      "stroke-dasharray": hit ? "none" : "9 6" });
    say.innerHTML = `This line <strong>${hit ? "hits" : "misses"}</strong> the target. From here `
      + `<strong>${Math.round(100 * sky.dataset.share)}&nbsp;%</strong> of all directions hit it.`;
  }

  const add = (name, label, max, value, show, min = 0, step = 1) => {
    controls[name] = slider(box, { label, min, max, step, value, show }, () => draw(name));
  };
  add("angle", "Turn the line:", 180, 45, (now) => `${now}°`);
  add("anchor", "Move its anchor from w₀ towards the trained weights:", 100, 0, (now) => `${now} %`);
  add("eps", "Target: loss at most", 0, -1, (now) => (10 ** now).toFixed(2), -1.3, 0.05);
  draw("eps");
});
