// What scrolls inside its own box can be reached and scrolled by keyboard; what is printed is light.
(() => {
  const BOXES = "article :is(table, pre, mjx-container[display=true], .cell_output, figure)";
  function reach() {
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
