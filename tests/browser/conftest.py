"""Chromium, and a page that holds one explorable figure and nothing else."""

import shutil
from pathlib import Path

import pytest
from print_pdf import find_chromium

STATIC = Path(__file__).parents[2] / "book" / "_static"


@pytest.fixture(scope="session")
def chromium():
    from playwright import sync_api  # inside: a plain pytest run does not need it

    try:
        program = find_chromium()
    except FileNotFoundError as problem:
        pytest.fail(str(problem))
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def explore(chromium, tmp_path):
    """Open a page with a static figure and an explorable one: a function of the latter."""
    shutil.copytree(STATIC, tmp_path / "_static")
    (tmp_path / "book").mkdir()
    pages = []

    def show(figure, width=1280, scheme="light"):
        path = tmp_path / "book" / "page.html"
        path.write_text(
            "<!doctype html><meta charset=utf-8><link rel=stylesheet href=../_static/custom.css>"
            "<style>figure.align-default { display: block; }</style>"  # as in the theme
            "<article class=bd-article>"
            f"<figure id={figure.fallback} class=align-default>static</figure>"
            f"{figure._repr_html_()}</article>"
        )
        page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda message: page.complaints.append(message.text))
        page.goto(path.as_uri(), wait_until="load")
        pages.append(page)
        return page

    yield show
    for page in pages:
        assert page.complaints == []
        page.close()


# The height of each piece of text in px, and the pieces that stick out of their picture or page.
LETTERS = """() => [...document.querySelectorAll('.explore :is(text, span, p, output, option)')]
    .map(e => parseFloat(getComputedStyle(e).fontSize) * (e.getScreenCTM?.().a ?? 1))"""
OUTSIDE = """() => [...document.querySelectorAll('.explore *')].filter(e => {
    const box = e.getBoundingClientRect(), svg = e.closest('svg')?.getBoundingClientRect();
    const {left, right} = svg ?? {left: 0, right: document.documentElement.clientWidth};
    return box.width > 0 && (box.left < left - 1 || box.right > right + 1
        || svg && (box.top < svg.top - 1 || box.bottom > svg.bottom + 1));
}).map(e => e.outerHTML.slice(0, 80))"""


@pytest.fixture
def fits():
    """Check that nothing of a figure is cut off and that its letters are at least 9 px high."""

    def check(page):
        width = page.viewport_size["width"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OUTSIDE) == []
        assert min(page.evaluate(LETTERS)) >= 9

    return check


@pytest.fixture
def swaps():
    """Check that the screen has the explorable figure, and paper the static one."""

    def check(page):
        for media, on_paper in (("screen", False), ("print", True)):
            page.emulate_media(media=media)
            assert page.locator(".explore").is_visible() != on_paper
            assert page.locator("figure").is_visible() == on_paper

    return check
