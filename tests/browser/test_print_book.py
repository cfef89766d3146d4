"""The printed book, made of two pages: contents that name the right pages, bookmarks, links.

Of a page with a figure: what stands beside it in print, and how it is broken into sheets.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pypdf import PdfReader

pytestmark = pytest.mark.browser

FOLDED = '<div class="cell"><details class="above-input">folded code</details></div>'


def test_contents_agree_with_the_pages(tmp_path):
    from print_book import print_book  # inside: a plain pytest run needs no Playwright

    paths = [tmp_path / "one.html", tmp_path / "two.html"]
    for number, path in enumerate(paths):
        # As many sections as make the contents longer than a page.
        sections = "".join(
            f'<section id="s{i}"><h2>Part {number}.{i}</h2><p>{"word " * 300}</p></section>'
            for i in range(40)
        )
        links = '<a href="one.html#s7">here</a> <a href="api/three.html">away</a>'
        path.write_text(
            f"<article><section id=top><h1>Chapter {number}</h1>{links}{FOLDED}"
            f"<details><p>solution</p></details>{sections}</section></article>"
        )
    output = tmp_path / "book.pdf"
    with ThreadPoolExecutor() as apart:  # from the browser of the other tests, in this thread
        count = apart.submit(
            print_book, "A book", paths, "https://site.example/book/", output
        ).result()
    reader = PdfReader(output)
    texts = [page.extract_text() for page in reader.pages]
    assert len(texts) == count > 3

    # Bookmarks and contents name each section's page, which carries that number.
    chapters = [x for x in reader.outline if not isinstance(x, list)]
    assert [x.title for x in chapters] == ["Chapter 0", "Chapter 1"]
    parts = [x for group in reader.outline if isinstance(group, list) for x in group]
    assert len(parts) == 80
    first = reader.get_destination_page_number(chapters[0])
    contents = " ".join(" ".join(texts[:first]).split())
    for bookmark in [*chapters, *parts]:
        page = reader.get_destination_page_number(bookmark)
        assert bookmark.title in texts[page]
        assert texts[page].split()[-1] == str(page + 1)
        assert f"{bookmark.title} {page + 1}" in contents

    words = " ".join(texts)
    assert "solution" in words
    assert "folded code" not in words
    found = [link for page in reader.pages for link in page.get("/Annots", ())]
    addresses = [link.get_object().get("/A", {}).get("/URI") for link in found]
    assert "https://site.example/book/api/three.html" in addresses
    assert not output.with_suffix(".html").exists()


def test_text_goes_before_a_figure_that_would_leave_a_page_white(tmp_path):
    from print_book import print_book

    (tmp_path / "high.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="700"><path d="M0 0h9"/></svg>'
    )
    path = tmp_path / "one.html"

    def paragraphs(word, count):
        return "".join(f"<p>{word}{i} {'text ' * 50}</p>" for i in range(count))

    path.write_text(
        f"<article><section id=top><h1>Chapter</h1>{paragraphs('before', 10)}"
        '<figure id="moving"><img src="high.svg"><figcaption>Caption</figcaption></figure>'
        f"{paragraphs('after', 10)}<p>It is:</p><ul><li>listed</li></ul></section></article>"
    )
    output = tmp_path / "book.pdf"
    with ThreadPoolExecutor() as apart:
        apart.submit(print_book, "A book", [path], "https://site.example/", output).result()
    texts = [page.extract_text() for page in PdfReader(output).pages]
    first, second = (
        next(i for i, text in enumerate(texts) if f"before{k}" in text) for k in (0, 9)
    )
    assert first == second
    assert "after0" in texts[first]
    assert "Caption" in texts[first + 1]
    words = " ".join(texts).split()
    assert [word for word in words if word.startswith("after")] == [f"after{i}" for i in range(10)]


def test_a_static_figure_says_that_the_other_moves(tmp_path):
    from print_book import join

    path = tmp_path / "one.html"
    path.write_text(
        '<article><h1>Chapter</h1><div class="explore" data-fallback="moving" hidden></div>'
        '<figure class="wide" id="moving"><figcaption>Caption</figcaption></figure></article>'
    )
    book = join("A book", [path], "https://site.example/")
    assert book.figure["class"] == ["wide", "explore-fallback"]
    assert not book.select(".explore")
