// "Near and far": which random subspaces through a start hit a ball, or many caps of its width.
//
// root.values holds what is shown, and exact(d), the probability drawn.
explore.register("near_far", (root, data) => {
  const { make, svg, set, line, bold } = explore;
  const EXACT = explore.ink(["#0072B2", "#56B4E9"]), SHARP = explore.ink("#E69F00", "10 6");
  const GORDON = explore.ink("#CC79A7", "3 4", 4);
  const CENTRE = explore.ink("var(--pst-color-text-base)", "10 4 2 4", 1.5);
  const PROMISED = 0.1, BALL = 44, START = 26;

  function logGamma(x) {
    let product = 0;
    for (; x < 15; x++) product += Math.log(x);
    const z = 1 / (x * x), tail = 1 / 12 - z * (1 / 360 - z * (1 / 1260 - z / 1680));
    return (x - 0.5) * Math.log(x) - x + Math.log(2 * Math.PI) / 2 + tail / x - product;
  }

  // The regularized incomplete beta function I_x(a, b), by Lentz's continued fraction.
  function beta(x, a, b) {
    if (x > (a + 1) / (a + b + 2)) return 1 - beta(1 - x, b, a);
    const logs = logGamma(a + b) - logGamma(a) - logGamma(b);
    const front = Math.exp(logs + a * Math.log(x) + b * Math.log1p(-x)) / a;
    let c = 1, d = 1 / (1 - ((a + b) * x) / (a + 1)), f = d;
    for (let m = 1; front > 1e-18 && m < 5000 && Math.abs(c * d - 1) > 1e-14; m++) {
      const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
      const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
      for (const term of [even, odd]) {
        d = 1 / (1 + term * d);
        c = 1 + term / c;
        f *= c * d;
      }
    }
    return front * f;
  }

  const alpha = (k) => (k > 0 ? Math.SQRT2 * Math.exp(logGamma((k + 1) / 2) - logGamma(k / 2)) : 0);

  // The width of a cap of half-opening asin(s): the integral of cones.cap_width, done.
  function capWidth(s, D) {
    const inside = (alpha(D) * beta(s * s, (D - 1) / 2, 0.5)) / 2;
    const around = s * alpha(D - 1) * (1 - beta(s * s, D / 2, 0.5) / 2);
    return inside + around - (Math.sqrt(1 - s * s) * s ** (D - 1)) / Math.sqrt(2 * Math.PI);
  }

  // The half-opening with which so many caps have width w, on average over their centres; null if
  // even points are wider. far(φ): the chance that no centre is nearer than φ.
  function halfOpening(w, D, caps, widest) {
    const low = Math.max(Math.PI / 2 - 9 / Math.sqrt(D - 2), 0), step = (Math.PI / 2 - low) / 400;
    const far = Array.from({ length: 401 }, (_, i) => {
      const below = beta(Math.sin(low + i * step) ** 2, (D - 1) / 2, 0.5) / 2;
      return (i === 0 || i === 400 ? step / 2 : step) * Math.exp(caps * Math.log1p(-below));
    });
    const width = (b) => far.reduce(
      (sum, weight, i) => sum - weight * Math.sin(Math.max(low + i * step - b, 0)),
      Math.cos(Math.max(low - b, 0))) * alpha(D);
    if (width(0) > w) return null;
    let [a, b] = [0, widest];
    while (b - a > 1e-12) (width((a + b) / 2) < w ? (a = (a + b) / 2) : (b = (a + b) / 2));
    return a;
  }

  function solve(R, D, many) {
    const angle = Math.asin(1 / R), w = capWidth(1 / R, D);
    const opening = many ? halfOpening(w, D, data.caps, angle) : angle;
    const caps = many ? data.caps : 1;
    const exact = (d) => {
      if (opening === null) return NaN;
      if (d === 0 || d === D) return d / D;
      return -Math.expm1(caps * Math.log1p(-beta(Math.sin(opening) ** 2, (D - d) / 2, d / 2)));
    };
    const gordon = (d) => {
      const margin = Math.max((D - d) / Math.sqrt(D - d + 1) - w, 0);
      return Math.min(1, 3.5 * Math.exp(-(margin ** 2) / 18));
    };
    const sharp = (d) => Math.exp(-(Math.max(alpha(D - d) - w, 0) ** 2) / 2);
    const first = (f, p) => { // the first d with f(d) >= p
      let [below, at] = [-1, D];
      while (at - below > 1) {
        const d = Math.floor((at + below) / 2);
        if (f(d) >= p) at = d; else below = d;
      }
      return at;
    };
    return { R, D, angle, w, opening, exact, gordon, sharp, threshold: D - w * w,
      half: opening === null ? null : first(exact, 0.5),
      silent: first(gordon, PROMISED), silentSharp: first(sharp, PROMISED) };
  }

  const controls = make("div", { class: "explore-controls" }, root);
  const picture = explore.canvas(root, 640, 510, "Above, the start and the ball; below, the " +
    "probability that a random subspace hits the target against its dimension, with two bounds.");
  const tangents = svg("path", explore.ink("var(--pst-color-text-muted)", "none", 1.5), picture);
  const ball = svg("circle", { ...explore.ink("#009E73"), r: BALL, cy: 56 }, picture);
  svg("circle", { r: 5, cx: START, cy: 56, fill: "var(--pst-color-text-base)" }, picture);
  svg("text", { x: START - 20, y: 88 }, picture, "start");
  const graph = svg("g", {}, picture);
  explore.legend(root, [["exact", EXACT], ["Gordon’s bound, as printed", GORDON],
    ["sharper bound", SHARP], ["D − w²", CENTRE]]);
  const words = explore.reading(root, "near_far");
  const pick = (label, values, start, unit) => explore.slider(controls, { label, min: 0,
    max: values.length - 1, step: 1, value: values.indexOf(start), show: (i) => values[i] + unit },
    draw);
  const distance = pick("Distance of the start", data.R, data.start.R, " radii");
  const dimension = pick("Dimension D", data.D, data.start.D, "");
  const kind = explore.menu(controls, { label: "Target", value: "one", options: [["one", "the ball"],
    ["many", `${data.caps} caps, same width`]] }, draw);
  draw();

  function draw() {
    const R = data.R[distance.value], D = data.D[dimension.value], many = kind.value === "many";
    const now = solve(R, D, many);
    root.values = now;
    const reach = BALL * Math.sqrt(R * R - 1);
    const [x1, y1] = [reach * Math.cos(now.angle), reach / R];
    set(tangents, { d: `M${START + x1} ${56 - y1}L${START} 56L${START + x1} ${56 + y1}` });
    set(ball, { cx: START + R * BALL, "stroke-dasharray": many ? "2 5" : "none" });

    graph.replaceChildren();
    const frame = { left: 52, right: 598, top: 156, bottom: 454 };
    const { x, y } = explore.chances(graph, frame, D, "dimension d of the subspace",
      "probability of a hit");
    svg("path", { d: `M${x(now.threshold)} ${frame.top}V${frame.bottom}`, ...CENTRE }, graph);
    const dims = [...new Set(Array.from({ length: 241 }, (_, i) => Math.round((i * D) / 240)))];
    for (const [f, look] of [[now.gordon, GORDON], [now.sharp, SHARP], [now.exact, EXACT]]) {
      svg("path", { d: line(dims.map((d) => [x(d), y(f(d))])), ...look }, graph);
    }
    tell(now, many);
  }

  function tell(now, many) {
    const degrees = (angle) => `${((180 * angle) / Math.PI).toFixed(1)}°`;
    const below = (d) => (d > 0 ? `for every d below ${d}` : "for no d");
    words.replaceChildren("Seen from the start the ball is a cap of half-opening ",
      bold("angle", degrees(now.angle)), " and width w = ", bold("w", now.w.toFixed(2)),
      ": D − w² = ", bold("threshold", now.threshold.toFixed(1)), ". ");
    if (now.half === null) {
      words.append(`Even ${data.caps} single points are wider: come nearer, or raise D. `);
    } else {
      if (many) {
        words.append(`${data.caps} caps in random directions are together as wide if each has ` +
          "half-opening ", bold("opening", degrees(now.opening)), ". ");
      }
      words.append(`Half of all draws hit ${many ? "one of them" : "it"} from d = `,
        bold("half", now.half), " on. ");
    }
    words.append("Gordon’s bound guarantees a miss in nine draws of ten ",
      bold("gordon", below(now.silent)), "; the sharper one ",
      bold("sharp", below(now.silentSharp)), ".");
  }
});
