"""Prints the built book to one PDF, with contents, page numbers and bookmarks.

    python scripts/print_book.py _build/book.pdf          # after make book

The articles of all pages become one page, which Chromium prints until the contents agree with it:
each print tells on which page each section begins. Left out are the pages of the package's
reference, and the code that stands folded above a figure; links lead to both on the site.
"""
# ruff: noqa: T201  (a command-line program: its output is its purpose)

import argparse
import io
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import sync_playwright
from print_pdf import find_chromium
from pypdf import PdfReader, PdfWriter
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).parents[1]
SCALE = 0.8  # of letters on paper to those on the screen
WIDTH = int(658 / SCALE)  # of the text in px: A4 less twice 18 mm
HEIGHT = int(987 / SCALE)  # likewise
ARGUMENTS = ["--no-sandbox", "--font-render-hinting=none"]  # letters as wide as in print
STYLE = """
body { display: block !important } main > article { break-before: page } article h1 { margin-top: 0 }
.bd-article table { display: table; font-size: 0.8rem; width: auto; background: none }
main .bd-article :not(.verdicts) > table:has(th:nth-child(8)) :is(td, th) { font-size: 0.75rem; padding-inline: 0.3rem !important }
tbody tr:nth-child(-n + 2) { break-after: avoid } tbody tr:nth-last-child(-n + 2) { break-before: avoid }
.bd-article :is(.math, .cell_output, .output, .pst-scrollable-table-container, figure, table, pre) { overflow: visible !important }
mjx-container { background: none !important; overflow: visible !important }
mjx-assistive-mml { max-width: 100% } /* beyond the margin it would make the whole book smaller */
figure, img, mjx-container, tr, pre, .cell_input { break-inside: avoid }
.cell_output table:not(:has(tr:nth-child(9))) { break-inside: avoid }
.bd-article .admonition { padding-bottom: 0; overflow: visible !important }
.bd-article :is(.admonition, .admonition > section) > p:last-child { margin-bottom: 0; padding-bottom: 0.5rem }
.bd-article .verdicts { break-inside: auto }
h1, h2, h3, h4, dt, summary, .admonition-title, .claim :is(.title, .verdict) { break-after: avoid }
.cell_input:has(+ .cell_output > .stream) { break-after: avoid } .claim > p:last-child { break-before: avoid }
.claim summary { list-style: none }
.headerlink, .copybtn { display: none !important }
#contents { columns: 2; column-gap: 2.5rem; line-height: 1.35 }
#contents a { display: flex; justify-content: space-between; color: inherit; text-decoration: none }
#contents a { gap: 1rem; break-inside: avoid } #contents .section { padding-left: 1rem; font-size: 0.85rem }
#contents .chapter { font-weight: bold; margin-top: 0.5rem; break-after: avoid }
"""  # noqa: E501
# What is wider than the paper is made smaller. Three lines stay together, large boxes need not.
FIT = f"""() => {{
    for (const box of document.querySelectorAll("table, mjx-container[display=true], img")) {{
        const inner = box.querySelector(":scope > svg") ?? box;
        const wide = Math.max(box.scrollWidth, inner.getBoundingClientRect().width);
        const room = Math.min({WIDTH}, box.parentElement.clientWidth || {WIDTH});
        if (wide > room) box.style.zoom = room / wide;
    }}
    for (const lines of document.querySelectorAll("p, li, dd"))
        if (lines.offsetHeight < 90) lines.style.breakInside = "avoid";
    for (const box of document.querySelectorAll(".admonition"))
        if (box.offsetHeight > {HEIGHT} / 5) box.style.breakInside = "auto";
}}"""
# Where a figure would leave much of a page white, the text below it goes first. A chapter set in
# columns as high as a page breaks as its pages will, and tells where each block begins and ends.
FLOAT = """([width, height]) => {
    const much = 0.12, isFigure = block => block.matches("figure, .cell:has(img)");
    const within = box => [...box.children].flatMap(x => x.matches("section") ? within(x) : [x]);
    for (const article of document.querySelectorAll("main > article")) {
        article.style.cssText = `columns: ${width}px; column-gap: 0; column-fill: auto`;
        article.style.height = `${height}px`;
        const blocks = () => within(article).filter(block => block.offsetHeight);
        const { left, top } = article.getBoundingClientRect();
        const parts = block => [...block.getClientRects()];
        const page = part => Math.round((part.left - left) / width);
        // The share of a page that stays white between two blocks.
        const white = (above, below) => {
            const end = parts(above).at(-1), start = parts(below)[0];
            return page(start) > page(end) ? 1 - (end.bottom - top) / height : 0;
        };
        for (const figure of blocks().filter(isFigure)) {
            const all = blocks(), at = all.indexOf(figure), first = page(parts(figure)[0]);
            if (at < 1 || white(all[at - 1], figure) < much) continue;
            const whiteUntil = last => {
                const now = blocks(), around = now.slice(at - 1, now.indexOf(last) + 2);
                return around.reduce((sum, x, i) => sum + (i && white(around[i - 1], x)), 0);
            };
            // No sentence is parted from what it ends in.
            const parted = (above, below) => above.matches("p") && /:$/.test(above.innerText.trim())
                || !below?.matches("h1, h2, h3, h4, .admonition, .cell, p")
                || below.matches("p") && /^[a-z]/.test(below.innerText.trim());
            // The figures below it go with it, so that they stay in order.
            const next = block => all.slice(all.indexOf(block) + 1).find(x => !isFigure(x));
            const figures = [], homes = [];
            let best = { white: whiteUntil(figure), count: 0 };
            for (const below of all.slice(at)) {
                if (isFigure(below)) {
                    below.before(homes[figures.push(below) - 1] = document.createComment(""));
                } else if (!below.matches("h1, h2, h3, h4") && !parted(below, next(below))) {
                    below.after(...figures);
                    const count = figures.length;
                    const found = { white: whiteUntil(figures.at(-1)), count, below };
                    if (found.white < best.white - 0.02) best = found;
                    if (found.white < much || page(parts(figure)[0]) > first) break;
                }
            }
            homes.forEach((home, i) => home.replaceWith(figures[i]));
            best.below?.after(...figures.slice(0, best.count));
        }
        article.style.cssText = "";
    }
}"""
CONTENTS = """() => [...document.querySelectorAll("#contents a")]
    .map(a => [a.className, a.getAttribute("href").slice(1), a.firstChild.textContent])"""
NUMBER = """numbers => { for (const link of document.querySelectorAll("#contents a"))
    link.lastChild.textContent = numbers[link.getAttribute("href").slice(1)] }"""
FOOT = (
    '<div style="width: 100%; text-align: center; font: 9px sans-serif"><span class="pageNumber">'
    "</span></div>"
)


def anchor(path: Path, fragment: str = "") -> str:
    """Names a place of a page within the one page."""
    return f"{path.stem}--{fragment}"


def article_of(path: Path, paths: list[Path], site: str) -> Tag:
    """Takes the article of a page, its names made unlike those of others, its links within."""
    article = BeautifulSoup(path.read_text(), "html.parser").find("article")
    # Static figures stand for explorable ones, and say so.
    for explorable in article.select(".explore[data-fallback]"):
        static = article.find(id=explorable["data-fallback"])
        static["class"] = [*static.get("class", []), "explore-fallback"]
    for left_out in article.select("script, .explore, details.above-input"):
        left_out.extract()
    # Those of pandas, "T_...", are unlike others already, and style sheets know them.
    for element in article.find_all(id=lambda name: name and not name.startswith("T_")):
        element["id"] = anchor(path, element["id"])
    article["id"] = anchor(path)
    for link in article.find_all("a", href=True):
        parts = urlsplit(link["href"])
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not parts.scheme and target in paths:
            link["href"] = "#" + anchor(target, parts.fragment)
        else:
            link["href"] = urljoin(site + path.name, link["href"])
    for cell in article.select(".cell"):
        if not cell.find("img") and not cell.get_text(strip=True):
            cell.extract()
    for image in article.find_all("img", src=True):
        image["src"] = (path.parent / image["src"]).resolve().as_uri()
        image.attrs.pop("loading", None)
    for folded in article.find_all("details"):
        folded["open"] = ""
    return article


def head_of(path: Path) -> list[Tag]:
    """Takes the style sheets of a page and the scripts that typeset its formulas."""
    page = BeautifulSoup(path.read_text(), "html.parser")
    scripts = [script for script in page.find_all("script") if "mathjax" in str(script).lower()]
    found = [*page.find_all("link", rel="stylesheet"), *scripts]
    for link in found:
        for name in {"href", "src"} & {*link.attrs}:
            link[name] = (path.parent / urlsplit(link[name]).path).resolve().as_uri()
    return found


def join(title: str, paths: list[Path], site: str) -> BeautifulSoup:
    """Joins the articles of all pages below the head of the first, with a list of contents."""
    book = BeautifulSoup(
        f'<!doctype html><html lang="en" data-theme="light"><meta charset="utf-8">'
        f"<title>{title}</title><style>{STYLE}</style><main class='bd-content'><h1>{title}</h1>"
        "<nav id='contents'></nav></main></html>", "html.parser",
    )  # fmt: skip
    book.title.insert_after(*head_of(paths[0]))
    for path in paths:
        article = article_of(path, paths, site)
        for heading in article.find_all(["h1", "h2"]):
            place = heading.find_parent("section") or article
            if place is not article:  # a section may begin on the page before its heading
                heading["id"], place = place.attrs.pop("id"), heading
            kind = "chapter" if heading.name == "h1" else "section"
            line = book.new_tag("a", href=f"#{place['id']}", attrs={"class": kind})
            words = heading.get_text().removesuffix("#").strip()
            line.extend([book.new_tag("span", string=words), book.new_tag("span")])
            book.nav.append(line)
        book.main.append(article)
    return book


def bookmark(pdf: bytes, contents: list[list[str]], numbers: dict[str, int]) -> PdfWriter:
    """Gives a PDF bookmarks: Chromium repeats the words of headings that it laid out twice."""
    writer, chapter = PdfWriter(clone_from=io.BytesIO(pdf)), None
    for kind, place, words in contents:
        above = chapter if kind == "section" else None
        number = numbers[place] - 1
        item = writer.add_outline_item(title=words, page_number=number, parent=above)
        chapter = item if kind == "chapter" else chapter
    return writer


def print_book(title: str, paths: list[Path], site: str, output: Path) -> int:
    """Prints the book and returns its number of pages; site is the address of their folder."""
    program, source = find_chromium(), output.with_suffix(".html")
    source.write_text(str(join(title, paths, site)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDTH, "height": 1000})
        page.set_default_timeout(0)
        page.emulate_media(media="print", color_scheme="light")
        page.goto(source.as_uri(), wait_until="load")
        page.evaluate("async () => { await window.MathJax?.startup.promise }")
        page.evaluate(FIT)
        page.evaluate(FLOAT, [WIDTH, HEIGHT])
        contents = page.evaluate(CONTENTS)
        numbers, before = {}, None
        while numbers != before:
            before = numbers
            pdf = page.pdf(
                format="A4", scale=SCALE, tagged=True, print_background=True,
                display_header_footer=True, header_template="<span></span>", footer_template=FOOT,
                margin=dict.fromkeys(("top", "bottom", "left", "right"), "18mm"),
            )  # fmt: skip
            reader = PdfReader(io.BytesIO(pdf))
            numbers = {
                name.lstrip("/"): reader.get_destination_page_number(place) + 1
                for name, place in reader.named_destinations.items()
            }
            page.evaluate(NUMBER, numbers)
        browser.close()
    bookmark(pdf, contents, numbers).write(output)
    source.unlink()
    return len(reader.pages)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--source", type=Path, default=ROOT, help="folder of _toc.yml")
    options = parser.parse_args()
    html = options.source / "_build" / "html"
    if not (html / "index.html").is_file():
        parser.exit(1, "error: there is no built book; run `make book` first\n")
    config = yaml.safe_load((options.source / "_config.yml").read_text())
    pages = [page for page in parse_toc_yaml(options.source / "_toc.yml") if "/api/" not in page]
    paths = [(html / f"{page}.html").resolve() for page in pages]
    output = options.output.resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        count = print_book(config["title"], paths, f"{config['html']['baseurl']}book/", output)
    except FileNotFoundError as problem:
        parser.exit(1, f"error: {problem}\n")
    print(f"{output}: {count} pages")


if __name__ == "__main__":
    main()
