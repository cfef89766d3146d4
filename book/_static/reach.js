// Formulas a little too wide are made smaller. What scrolls inside its own box can be reached and scrolled by
// keyboard; what is printed is light.
(() => {
  const BOXES = "article :is(table, pre, mjx-container[display=true], .cell_output, figure)";
  const LINES = "p, li, td, th, dd, figcaption, h1, h2, h3, h4, div";
  const LEAST = 75; // per cent, of a formula that can scroll; one in a line of text can't
  function fit() {
    const formulas = [...document.querySelectorAll("article mjx-container")];
    const resize = (size, i) => (formulas[i].style.fontSize = size === 100 ? "" : `${size}%`);
    let sizes = formulas.map(() => 100);
    for (let pass = 0; pass < 4; pass++) { // numbers and letters do not shrink in proportion
      sizes.forEach(resize);
      sizes = formulas.map((formula, i) => {
        const alone = formula.matches("[display=true]");
        const room = (alone ? formula : formula.closest(LINES)).clientWidth;
        const held = [formula, formula.closest(".whole") ?? formula]; // with the comma after it
        const wide = alone
          ? formula.scrollWidth
          : Math.max(...held.map((part) => part.getBoundingClientRect().width));
        const size = room && wide > room ? (0.98 * sizes[i] * room) / wide : sizes[i];
        return alone && size < LEAST ? 100 : size;
      });
    }
    sizes.forEach(resize);
  }
  function reach() {
    fit();
    for (const box of document.querySelectorAll(BOXES)) {
      const scrolls = /auto|scroll/.test(getComputedStyle(box).overflowX);
      if (scrolls && box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    }
  }
  async function begin() {
    // Docutils calls its bibliography a list without items.
    for (const list of document.querySelectorAll(".citation-list[role=list]")) list.removeAttribute("role");
    await window.MathJax?.startup?.promise;
    reach();
    addEventListener("resize", reach);
    for (const folded of document.querySelectorAll("details")) folded.addEventListener("toggle", reach);
  }
  addEventListener("load", begin);
  // Paper is always light.
  matchMedia("print").addEventListener("change", ({ matches }) => {
    const { dataset } = document.documentElement;
    if (matches) dataset.onScreen = dataset.theme;
    dataset.theme = matches ? "light" : dataset.onScreen;
  });
})();
