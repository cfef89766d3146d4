// Formulas a little too wide are made smaller. What scrolls inside its own box can be reached and scrolled by
// keyboard, and tables that do keep the names of their rows on a phone; what is printed is light.
(() => {
  const BOXES = "article :is(table, pre, mjx-container[display=true], .cell_output, figure)";
  const LINES = "p, li, td, th, dd, figcaption, h1, h2, h3, h4, div";
  const LEAST = 75; // per cent, of a formula that can scroll; one in a line of text can't
  const NAMES = 0.6; // of a table's width, at most, is taken by columns that stay
  const LONG = 40; // letters of a cell that gets room
  const WHOLE = 28; // letters of a word of code, such as an option or a parameter, that is not broken
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
  // Of several columns of names the inner ones stay, as many as leave room: custom.css does it, on a phone.
  function hold(table) {
    const rows = [...table.rows];
    const named = rows.filter((row) => row.parentElement.matches("tbody"));
    const count = (row) => row.querySelectorAll(":scope > th").length;
    const names = Math.max(0, ...named.map(count));
    if (names < 2) return;
    const full = named.find((row) => count(row) === names);
    const widths = [...full.cells].slice(0, names).map((cell) => cell.offsetWidth);
    let first = names - 1, held = widths[first];
    while (first && held + widths[first - 1] <= NAMES * table.clientWidth) held += widths[--first];
    for (const row of rows) {
      let column = named.includes(row) ? names - count(row) : 0;
      for (const cell of row.cells) {
        if (column >= names) break;
        // less 2: collapsed borders leave a gap
        const left = widths.slice(first, column).reduce((sum, width) => sum + width - 2, 0);
        cell.classList.toggle("held", column >= first);
        cell.classList.toggle("loose", column < first);
        cell.style.setProperty("--held", `${left}px`);
        column += cell.colSpan;
      }
    }
  }
  function reach() {
    fit();
    for (const table of document.querySelectorAll("article table")) {
      if (table.scrollWidth <= table.clientWidth) continue;
      for (const cell of table.querySelectorAll("td:not(:first-child)"))
        cell.classList.toggle("long", cell.textContent.trim().length > LONG);
      hold(table);
    }
    for (const box of document.querySelectorAll(BOXES)) {
      const scrolls = /auto|scroll/.test(getComputedStyle(box).overflowX);
      if (scrolls && box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    }
  }
  async function begin() {
    // Docutils calls its bibliography a list without items.
    for (const list of document.querySelectorAll(".citation-list[role=list]")) list.removeAttribute("role");
    for (const word of document.querySelectorAll("article :is(:is(p, li, dd) > code .pre, em.sig-param)"))
      word.classList.toggle("whole", word.textContent.length <= WHOLE);
    // Names of modules in the contents break after a dot.
    for (const link of document.querySelectorAll(".bd-sidebar-secondary .nav-link"))
      if (/^\s*\w+(\.\w+)+\s*$/.test(link.textContent)) link.innerHTML = link.textContent.replaceAll(".", ".<wbr>");
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
