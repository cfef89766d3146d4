// "The quadratic-well bench": the closed form for two curvatures, solved anew at every change.
//
// root.values holds what is shown, and success(d), the probability drawn.
explore.register("well", (root, data) => {
  const { make, svg, line, bold } = explore;
  const CLOSED = explore.ink(["#0072B2", "#56B4E9"]), PAPER = explore.ink("#D55E00", "10 6", 2.5);
  const CENTRE = explore.ink("var(--pst-color-text-base)", "10 4 2 4", 1.5);
  const DOT = "#009E73";
  const { D } = data;

  function normal(z) {
    if (Math.abs(z) > 7) return z > 0 ? 1 : 0;
    let sum = z, term = z;
    for (let n = 3; n < 300; n += 2) sum += term *= (z * z) / n;
    return 0.5 + (sum * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI);
  }

  // A start with the same weight in every direction, after gradient flow; |w0| = 1.
  function solve(share, level, time) {
    const soft = Math.floor((share * D) / 100), counts = [soft, D - soft];
    const sum = (f) => counts.reduce((total, n, i) => total + n * f(data.curvatures[i]), 0);
    const square = (c) => Math.exp(-2 * c * time) / D; // w_i² of a direction of curvature c
    const eps = (10 ** level * sum((c) => c)) / (2 * D);
    const R2 = sum(square), loss = sum((c) => c * square(c)) / 2;
    const paper = D - sum((c) => 1 / (1 + (c * R2) / (2 * eps)));
    if (loss <= eps) {
      return { mu: 0, R2, Q: D, centre: 0, sigma: 0, paper, inside: true, success: () => 1 };
    }
    // μ = 2εx: Σ c w²/(1 + c x) falls from 2L(w) to below 2ε between x = 0 and R²/2ε.
    let [low, high] = [0, R2 / (2 * eps)];
    for (let i = 0; i < 200; i++) {
      const x = (low + high) / 2;
      if (sum((c) => (c * square(c)) / (1 + c * x)) > 2 * eps) low = x; else high = x;
    }
    const s = (c) => 1 / (1 + c * low), rest = (c) => c * low * s(c);
    const centre = sum(rest), sigma = Math.sqrt(2 * sum((c) => s(c) * rest(c)));
    const success = (d) => (d <= 0 ? 0 : d >= D ? 1 : normal((d - centre) / sigma));
    return { mu: 2 * eps * low, R2, Q: sum(s), centre, sigma, paper, inside: false, success };
  }

  // The simulated runs, where there are some for the sliders' places.
  function simulated(share, level, time) {
    const at = (list, value) => list.findIndex((item) => Math.abs(item - value) < 1e-9);
    return data.hits[at(data.shares, share)]?.[at(data.times, time)]?.[at(data.levels, level)];
  }

  const controls = make("div", { class: "explore-controls" }, root);
  const picture = explore.canvas(root, 640, 400, "Probability that a random subspace of " +
    "dimension d reaches the loss: closed form, simulated runs, and the estimate of the paper’s Eq. 3.4.");
  explore.legend(root, [["closed form (Q4)", CLOSED], ["D − Q", CENTRE], ["paper, Eq. 3.4", PAPER],
    ["simulated", { stroke: DOT, "stroke-width": 10, "stroke-linecap": "round",
      "stroke-dasharray": "0 99", "stroke-dashoffset": -20 }]]);
  const words = explore.reading(root, "well");
  const level = explore.slider(controls, { label: "log₁₀(ε / initial loss)", min: -5, max: -0.1, step: 0.1, value: -2,
    show: (v) => v.toFixed(1).replace("-", "−") }, draw);
  const share = explore.slider(controls, { label: "Soft directions", min: 0, max: 100, step: 10, value: 50,
    show: (v) => `${v}%` }, draw);
  const time = explore.slider(controls, { label: "Burn-in time t", min: 0, max: 5, step: 0.1, value: 0,
    show: (v) => v.toFixed(1) }, draw);
  draw();

  function draw() {
    const place = [share.value, level.value, time.value];
    const now = solve(...place), dots = simulated(...place);
    root.values = now;
    picture.replaceChildren();
    const frame = { left: 52, right: 606, top: 42, bottom: 344 };
    const { x, y } = explore.chances(picture, frame, D, "training dimension d",
      "success probability");
    const upright = (d) => `M${x(d)} ${frame.top}V${frame.bottom}`;
    svg("path", { d: upright(now.centre), ...CENTRE }, picture);
    svg("path", { d: upright(now.paper), ...PAPER }, picture);
    const dims = Array.from({ length: 481 }, (_, i) => (i * D) / 480);
    svg("path", { d: line(dims.map((d) => [x(d), y(now.success(d))])), ...CLOSED }, picture);
    dots?.d.forEach((d, i) => svg("circle",
      { cx: x(d), cy: y(dots.p[i]), r: 5.5, fill: DOT, "data-hit": d }, picture));
    tell(now, dots);
  }

  function tell(now, dots) {
    const levels = data.levels.map((level) => `${level}`.replace("-", "−"));
    const near = dots ? `Dots: ${data.runs} simulated runs.` :
      `Runs were simulated for ${data.shares.join(", ")}% soft directions, t = ` +
      `${data.times.join(", ")} and logarithms ${levels.slice(0, 2).join(", ")}, …, ` +
      `${levels.at(-1)}.`;
    words.replaceChildren("μ = ", bold("mu", now.mu.toPrecision(4)), ", |w|² = ",
      bold("R2", now.R2.toPrecision(4)), ", Q = ", bold("Q", now.Q.toFixed(1)),
      now.inside ? ": the start has reached ε, d* = " : ": the middle of the transition is D − Q = ",
      bold("centre", now.centre.toFixed(1)), ", its width σ = ", bold("sigma", now.sigma.toFixed(2)),
      ". The paper’s Eq. 3.4 puts d* at ", bold("paper", now.paper.toFixed(1)), ", where P = ",
      bold("at-paper", now.success(now.paper).toFixed(3)), ". ", near);
  }
});
