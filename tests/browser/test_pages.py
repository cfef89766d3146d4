"""Every page of the built book in real Chromium, read from ``file://`` on a desktop and a phone.

```make browser``` runs these after ``make book`` and fails where there is no build; a plain pytest
run leaves them out. ``DOFBOOK_SCREENSHOTS=folder`` keeps a picture of each page, and
``DOFBOOK_ROOT`` names another book's folder.
"""

import io
import os
import re
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from bs4 import BeautifulSoup
from PIL import Image
from sphinx_external_toc.parsing import parse_toc_yaml

from dofbook.experiments.published import published_names

pytestmark = pytest.mark.browser

ROOT = Path(os.environ.get("DOFBOOK_ROOT", Path(__file__).parents[2]))
HTML = ROOT / "_build" / "html"
PAGES = [str(page) for page in parse_toc_yaml(ROOT / "_toc.yml")]
WIDTHS = (1280, 390)
PUBLISHED = set(published_names(ROOT / "results"))
BASE = yaml.safe_load((ROOT / "_config.yml").read_text())["html"]["baseurl"]
MOST_BYTES, MOST_ICONS = 2_000_000, 200_000  # a page loads, beside MathJax
LETTERS = 10 * 4 / 3  # px of the text in a figure that is not scaled

# Formulas: each element that Sphinx or a notebook output marks as mathematics must hold an SVG
# without an error node. Returns the sources of those that do not.
BAD_FORMULAS = """() => [...document.querySelectorAll('.math')]
    .filter(e => !e.querySelector('mjx-container svg') || e.querySelector('[data-mml-node=merror]'))
    .map(e => e.textContent.slice(0, 80))"""
# Raw TeX in running text means that nobody marked it as mathematics.
RAW_TEX = r"""() => {
    const texts = document.createTreeWalker(
        document.querySelector('article'), NodeFilter.SHOW_TEXT);
    const tex = /\$[^$]*\\[a-z]+|\\\(|\\begin\{/;
    const found = [];
    while (texts.nextNode()) {
        const {data, parentElement} = texts.currentNode;
        if (!parentElement.closest('pre, code, script, style, mjx-container') && tex.test(data))
            found.push(data.slice(0, 80));
    }
    return found;
}"""
# What sticks out on the left can't be scrolled to: the beginning of such a formula is lost.
CUT_FORMULAS = """() => [...document.querySelectorAll('article mjx-container')]
    .filter(e => e.getBoundingClientRect().width > 0)
    .filter(e => e.querySelector('svg').getBoundingClientRect().left
                 < e.closest('.math').getBoundingClientRect().left - 2)
    .map(e => e.closest('.math').id || e.closest('section').id)"""
# A formula in a line of text can't be scrolled at all.
WIDE_FORMULAS = """() => [...document.querySelectorAll('article mjx-container:not([display])')]
    .filter(e => e.getBoundingClientRect().right
                 > e.closest('p, li, td, dd, figcaption, div').getBoundingClientRect().right + 2)
    .map(e => e.closest('section').id)"""
# What scrolls sideways has shadows, which are gradients, at its sides.
UNSHADED = """() => [...document.querySelectorAll('article *')]
    .filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 1)
    .filter(e => /auto|scroll/.test(getComputedStyle(e).overflowX))
    .filter(e => !getComputedStyle(e).backgroundImage.includes('gradient'))
    .map(e => e.outerHTML.slice(0, 80))"""
# The names of rows that stay in a table scrolled to its end: none lies on another, nor is cut.
COVERED_NAMES = """() => [...document.querySelectorAll('article table')].flatMap(table => {
    table.scrollLeft = table.scrollWidth;
    const {left} = table.getBoundingClientRect();
    const names = [...table.querySelectorAll('tbody th')]
        .filter(e => getComputedStyle(e).position === 'sticky' && e.getClientRects().length)
        .map(e => ({words: e.textContent.trim(), box: e.getBoundingClientRect()}));
    table.scrollLeft = 0;
    const meet = (a, b) => a !== b && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 4
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
    return names.filter(({box}) => box.left < left - 2 || names.some(b => meet(box, b.box)));
}).map(({words}) => words)"""
# A name that is longer than its cell lies on the next one.
LONG_NAMES = """() => [...document.querySelectorAll('article :is(td, th, dt, h1, h2, h3)')]
    .filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 1)
    .map(e => e.textContent.trim().slice(0, 80))"""
ALL_IMAGES = """async () => { for (const image of document.images) image.loading = 'eager';
    await Promise.allSettled([...document.images].map(image => image.decode())) }"""
TAGS = """() => Object.fromEntries([...document.querySelectorAll('meta[content]')]
    .map(e => [e.getAttribute('property') ?? e.name, e.content]))"""
WIDE_ELEMENTS = """() => [...document.querySelectorAll('article *')]
    .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .slice(0, 5).map(e => e.tagName + '.' + e.className)"""


@pytest.fixture(scope="session")
def html() -> Path:
    """The built book; its absence fails under `make browser` and skips elsewhere."""
    if not (HTML / "index.html").is_file():
        message = f"there is no built book in {HTML}; run `make book` first"
        if os.environ.get("DOFBOOK_BROWSER_REQUIRED"):
            pytest.fail(message)
        pytest.skip(message)
    return HTML


class Visit:
    """One page, opened and settled, with everything the browser complained about."""

    def __init__(self, browser, path: Path, width: int, scheme: str = "light"):
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page.set_default_timeout(300_000)  # however slow the machine is
        self.complaints: list[str] = []
        self.files: set[str] = set()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        self.page.on("request", self._request)
        self.page.on(
            "requestfailed", lambda request: self.complaints.append(f"failed: {request.url}")
        )
        self.page.goto(path.as_uri(), wait_until="load")
        self.page.evaluate("() => window.MathJax?.startup?.promise")
        # Images load lazily, and only then can one be broken.
        self.page.evaluate(ALL_IMAGES)

    def _console(self, message) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"console {message.type}: {message.text}")

    def weight(self, part: str = "") -> int:
        """Count the bytes of the files loaded whose path has the part in it, MathJax aside."""
        files = (file for file in self.files if part in file and "/mathjax/" not in file)
        return sum(Path(file).stat().st_size for file in files)

    def _request(self, request) -> None:
        if request.url.startswith("file:") and Path(urlsplit(request.url).path).is_file():
            self.files.add(urlsplit(request.url).path)
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.complaints.append(f"external: {request.url}")


@pytest.fixture(
    scope="module", params=[(page, width) for page in PAGES for width in WIDTHS], ids=str
)
def visit(request, chromium, html):
    """Open each page once at each width, for all tests of it: its formulas take seconds."""
    name, width = request.param
    visit = Visit(chromium, html / f"{name}.html", width)
    visit.name, visit.width = name, width
    yield visit
    folder = os.environ.get("DOFBOOK_SCREENSHOTS")
    if folder:
        picture = Path(folder) / f"{name.replace('/', '_')}_{width}.png"
        visit.page.screenshot(path=picture, full_page=True)
    visit.page.close()


def test_page(visit):
    page = visit.page
    assert visit.complaints == []
    assert page.title()
    assert page.locator("article h1").count() == 1

    # It loads quickly, and a link to it shows a description without TeX.
    assert visit.weight() < MOST_BYTES
    assert visit.weight("fontawesome") < MOST_ICONS
    tags = page.evaluate(TAGS)
    assert tags["og:url"] == f"{BASE}{visit.name}.html"
    assert tags["og:title"] in page.title()
    assert tags["og:site_name"] in page.title()
    assert len(tags["description"]) > 20
    assert not re.search(r"[\\$]", tags["description"] + tags["og:description"])

    # Mathematics.
    assert page.evaluate(BAD_FORMULAS) == []
    assert page.evaluate(RAW_TEX) == []
    assert page.evaluate(CUT_FORMULAS) == []
    assert page.evaluate(WIDE_FORMULAS) == []

    # Nothing sticks out sideways, and nothing is cut without a sign of it.
    assert page.evaluate(UNSHADED) == []
    assert page.evaluate(COVERED_NAMES) == []
    assert page.evaluate(LONG_NAMES) == []
    width, room = page.evaluate(
        "() => [document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]"
    )
    assert width <= room + 1, f"{width} px wide in {room} px: {page.evaluate(WIDE_ELEMENTS)}"

    # Pictures are there, described, and neither stretched nor squeezed.
    for image in page.locator("article img").all():
        source = image.get_attribute("src")
        assert (image.get_attribute("alt") or "").strip(), f"{source} has no alternative text"
        natural, shown = image.evaluate(
            "e => [[e.naturalWidth, e.naturalHeight], [e.clientWidth, e.clientHeight]]"
        )
        assert min(natural) > 0, f"{source} is broken"
        if min(shown) > 0:  # 0 inside a folded solution
            ratio = (shown[0] * natural[1]) / (shown[1] * natural[0])
            assert 0.97 < ratio < 1.03, f"{source} is {natural} and shown as {shown}"
            if source.endswith(".svg") and "_images" in source:
                assert LETTERS * shown[0] / natural[0] >= 9, f"the letters of {source} are small"

    # Nothing is shown as a mere description of a Python object.
    outputs = page.locator(".cell_output").all_inner_texts()
    assert not [text for text in outputs if re.search(r"<Figure size|<\w[\w.]* object at 0x", text)]

    # Tables have words, but where a published run is named.
    heads = set(page.locator("article table th").all_text_contents())
    assert {text for text in heads if re.fullmatch(r"\w*[a-z]_[a-z]\w*", text)} <= PUBLISHED

    # No cell failed, and none printed a warning.
    assert page.locator(".cell_output .traceback, .cell_output .stderr").count() == 0


# Each explorable figure: its page, and a slider and a key that change a number it reads.
EXPLORABLE = {
    "sheet": ("book/intro", 1, "End", "sheet"),
    "threshold": ("book/phase_transition", 0, "Home", "star"),
    "width": ("book/gaussian_width", 0, "PageUp", "support"),
    "near_far": ("book/gaussian_width", 0, "End", "threshold"),
    "well": ("book/quadratic_well", 0, "End", "paper"),
}


def test_explorable_figures_answer_the_keyboard(visit):
    boxes = visit.page.locator(".explore:visible")
    names = boxes.evaluate_all("all => all.map(box => box.dataset.explore)")
    assert names == [name for name, (page, *_) in EXPLORABLE.items() if page == visit.name]
    for name in names:
        _, which, key, reading = EXPLORABLE[name]
        box = visit.page.locator(f".explore[data-explore={name}]")
        read = box.locator(f"[data-reading={reading}]")
        before = re.findall(r"[\d.]+", read.inner_text())
        box.locator("input").nth(which).press(key)
        after = re.findall(r"[\d.]+", read.inner_text())
        assert before and after != before, name
    assert visit.complaints == []


# Lists in long signatures are Sphinx's own.
AXE_LEAVES = {"exclude": [["mjx-container svg"]]}  # thousands of paths without text
AXE = {"resultTypes": ["violations"], "rules": {"definition-list": {"enabled": False}}}
COLOURS = {"resultTypes": ["violations"], "runOnly": ["color-contrast"]}
# Marks one text of each colour, size and background; axe takes long for all of them.
ONE_OF_EACH = """() => {
    const seen = new Set();
    for (const e of document.body.querySelectorAll(':not(mjx-container *, script, style)')) {
        const own = [...e.childNodes].some(child => child.nodeType === 3 && child.data.trim());
        if (!own || !e.getClientRects().length) continue;
        const {color, fontSize, fontWeight} = getComputedStyle(e);
        const key = [color, fontSize, fontWeight];
        for (let box = e; box; box = box.parentElement) {
            const {backgroundColor: behind, opacity} = getComputedStyle(box);
            if (opacity < 1 || behind !== 'rgba(0, 0, 0, 0)') key.push(behind, opacity);
        }
        if (!seen.has(`${key}`)) e.dataset.colours = seen.add(`${key}`).size;
    }
}"""


def test_figures_have_captions_with_numbers(visit):
    for table in visit.page.locator("article figure.verdicts").all():  # the claims at a glance
        assert table.locator("table tbody tr").count() > 1
        assert table.locator("figcaption").inner_text().strip()
    for figure in visit.page.locator("article figure:not(.verdicts)").all():
        assert figure.locator("img").count() >= 1, figure.inner_text()[:80]
        assert figure.locator(".caption-number").count() == 1, figure.inner_text()[:80]
        assert figure.locator(".caption-text").inner_text().strip()


@pytest.fixture(params=["light", "dark"])
def theme(visit, request):
    # a colour on its way from one theme to the other has no contrast of its own
    visit.page.add_style_tag(content="* { transition: none !important; }")
    visit.page.emulate_media(color_scheme=request.param)
    visit.page.wait_for_function(f"document.documentElement.dataset.theme == '{request.param}'")
    yield request.param
    visit.page.emulate_media(color_scheme="light")


def test_axe_finds_nothing_serious(visit, theme):
    from axe_playwright_python.sync_playwright import Axe

    context, rules = AXE_LEAVES, AXE
    if (visit.width, theme) in ((1280, "dark"), (390, "light")):
        visit.page.evaluate(ONE_OF_EACH)
        context, rules = {"include": [["[data-colours]"]]}, COLOURS
    found = Axe().run(visit.page, context, rules).response["violations"]
    serious = [
        (fault["id"], node["html"][:100], node["failureSummary"][:200])
        for fault in found
        for node in fault["nodes"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_phase_transition_shows_its_figures(chromium, html):
    visit = Visit(chromium, html / "book" / "phase_transition.html", 1280)
    assert visit.page.locator("article figure img").count() >= 2
    visit.page.close()


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_first_screen_has_the_sheet_and_its_first_control(chromium, html, width, height):
    page = chromium.new_page(viewport={"width": width, "height": height})
    page.goto((html / f"{PAGES[0]}.html").as_uri(), wait_until="load")
    for part in (".explore svg[role=img]", ".explore input"):
        box = page.locator(part).first.bounding_box()
        assert box["y"] > 0 and box["y"] + box["height"] <= height, part
    page.close()


def test_pages_read_in_the_dark(chromium, html):
    # The theme's first visit in dark mode once logged an error, and a light logo can vanish.
    visit = Visit(chromium, html / f"{PAGES[0]}.html", 1280, scheme="dark")
    assert visit.complaints == []
    for media, theme in (("screen", "dark"), ("print", "light"), ("screen", "dark")):
        visit.page.emulate_media(media=media)
        visit.page.wait_for_function(f"document.documentElement.dataset.theme == '{theme}'")
    visit.page.close()


def test_nothing_is_cut_on_paper(chromium, html):
    for name in ("errata", "reproducing"):  # long lines of code, a table of nine columns
        visit = Visit(chromium, html / "book" / f"{name}.html", 718)
        visit.page.emulate_media(media="print")
        boxes = visit.page.locator("article :is(table, pre):visible")
        assert boxes.evaluate_all("all => all.every(x => x.scrollWidth <= x.clientWidth + 1)")
        visit.page.close()


def test_figures_lie_on_a_light_card_in_the_dark(chromium, html):
    visit = Visit(chromium, html / "book" / "gaussian_width.html", 1280, scheme="dark")
    picture = visit.page.locator("article figure img:visible").first.screenshot()
    grey = Image.open(io.BytesIO(picture)).convert("L")
    assert grey.resize((1, 1)).getpixel((0, 0)) > 160
    assert grey.getpixel((grey.width // 2, 3)) > 200
    visit.page.close()


def long_sentences(page: str) -> list[str]:
    """Find the sentences of more than 35 words outside of code and tables; a formula is a word."""
    article, found = BeautifulSoup(page, "html.parser").find("article", "bd-article"), []
    for part in article.select("pre, script, style, table, div.math"):
        part.decompose()
    for formula in article.select(".math"):
        formula.replace_with("x")
    inner = [note.extract() for note in article.select("dd > small")]
    for block in (*inner, *article.select("p, li, figcaption, dd")):
        if not block.find(["p", "li"]):
            text = " ".join(block.get_text(" ").split())
            found += re.split(r"(?<=[.!?])\s+(?=[A-Z“\"(])", text)
    return [one for one in dict.fromkeys(found) if len(re.findall(r"\S*\w\S*", one)) > 35]


def test_pages_have_few_long_sentences(html):
    for name in PAGES:
        if "/api/" not in name:
            found = long_sentences((html / f"{name}.html").read_text())
            assert len(found) <= 10, (name, found)


def test_the_map_the_index_and_the_missing_page_list_all_pages(html):
    pages = {f"{name}.html" for name in PAGES}
    sitemap = ElementTree.parse(html / "sitemap.xml")
    assert {place.text.removeprefix(BASE) for place in sitemap.iterfind(".//{*}loc")} == pages
    for name, base in (("index.html", ""), ("404.html", BASE)):  # GitHub serves 404 at any depth
        links = re.findall(r'<a href="([^"]+)"', (html / name).read_text())
        assert {link.removeprefix(base) for link in links} == pages
        assert all(link.startswith(base) for link in links)


def test_links_between_pages_lead_somewhere(chromium, html):
    page = chromium.new_page()
    page.goto((html / "index.html").as_uri())
    page.wait_for_url(f"**/{PAGES[0]}.html")  # index.html only redirects
    targets = page.evaluate("() => [...document.querySelectorAll('a[href]')].map(a => a.href)")
    local = {target.split("#")[0].split("?")[0] for target in targets if target[:5] == "file:"}
    assert {(html / f"{name}.html").as_uri() for name in PAGES} <= local
    for target in local:
        assert Path(target.removeprefix("file://")).is_file(), f"{target} does not exist"
    page.close()


def test_a_page_with_faults_is_caught(chromium, html, tmp_path):
    """The checks themselves: a page with each fault must not pass unnoticed."""
    (tmp_path / "bad.html").write_text(
        "<!doctype html><article><h1>x</h1><span class='math'>\\(\\nope\\)</span>"
        "<p>left over: $\\alpha$</p><div style='width: 3000px'>wide</div>"
        "<div style='overflow-x: auto'><div style='width: 3000px'>scrolls</div></div>"
        "<style>th { position: sticky; left: 0; min-width: 300px }"
        "table { display: block; overflow-x: auto }</style><table><tbody>"
        "<tr><th rowspan=2>a</th><th>b</th></tr><tr><th>c</th></tr></tbody></table>"
        "<h2 style='width: 9em'>a.name.longer.than.its.heading</h2>"
        "<img src='gone.png'><script>console.error('oops')</script>"
        "<script src='https://example.invalid/x.js'></script></article>"
    )
    visit = Visit(chromium, tmp_path / "bad.html", 390)
    kinds = {complaint.split(":")[0] for complaint in visit.complaints}
    assert {"external", "failed", "console error"} <= kinds
    assert visit.page.evaluate(BAD_FORMULAS)
    assert visit.page.evaluate(RAW_TEX)
    assert visit.page.evaluate(UNSHADED)
    assert visit.page.evaluate(LONG_NAMES)
    assert visit.page.evaluate(COVERED_NAMES)
    assert visit.page.evaluate("() => document.scrollingElement.scrollWidth") > 391
    visit.page.close()
