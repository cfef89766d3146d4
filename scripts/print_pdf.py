"""Prints an HTML file to PDF with Chromium, once its formulas and slides are laid out.

python scripts/print_pdf.py _build/teaching/slides/slides.html?print-pdf slides.pdf
"""

import argparse
import os
import shutil
from pathlib import Path

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LAID_OUT = """async () => {
    await Promise.all([document.fonts.ready, window.MathJax?.startup.promise]);
    while (window.Reveal && !document.querySelector(".pdf-page"))
        await new Promise(requestAnimationFrame);
}"""


def find_chromium() -> str:
    """Finds Chromium: the one that $DOFBOOK_CHROMIUM names, or the first that is installed.

    Raises:
        FileNotFoundError: there is none.
    """
    found = filter(None, [os.environ.get("DOFBOOK_CHROMIUM"), *map(shutil.which, CHROMIUM_NAMES)])
    if (program := next(found, None)) is None:
        raise FileNotFoundError(
            "Chromium is not installed; install it, or name one in $DOFBOOK_CHROMIUM"
        )
    return program


def print_pdf(page: str, pdf: Path) -> None:
    """Writes the PDF of a page, a path that may end in a query.

    Raises:
        FileNotFoundError: Chromium or the page is missing.
    """
    from playwright.sync_api import sync_playwright

    name, mark, query = page.partition("?")
    address = Path(name).resolve(strict=True).as_uri() + mark + query
    program = find_chromium()
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program) as browser,
    ):
        tab = browser.new_page()
        tab.goto(address)
        tab.evaluate(LAID_OUT)
        tab.pdf(
            path=pdf, prefer_css_page_size=True, print_background=True, tagged=True, outline=True
        )


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page")
    parser.add_argument("pdf", type=Path)
    arguments = parser.parse_args()
    try:
        print_pdf(arguments.page, arguments.pdf)
    except FileNotFoundError as problem:
        parser.exit(1, f"error: {problem}\n")


if __name__ == "__main__":
    main()
