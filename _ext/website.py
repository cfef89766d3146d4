"""What the finished site has beside its pages: descriptions, a map, a 404 page, and small icons."""

import re
from html import escape
from pathlib import Path
from urllib.parse import urljoin

from docutils import nodes
from fontTools import subset
from sphinx.application import Sphinx

LETTERS = 200
"""Of a description: search engines show no more."""
FORMULAS = (nodes.math, nodes.math_block, nodes.raw, nodes.literal)


def describe(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Describes a page by its first sentences without a formula or code, for previews of links."""
    chosen = ""
    for paragraph in doctree.findall(nodes.paragraph):
        if not isinstance(paragraph.parent, nodes.section):
            continue  # in a list, a table or a note
        marked = "".join(
            "\0" if isinstance(part, FORMULAS) or any(part.findall(nodes.math)) else part.astext()
            for part in paragraph.children
        )
        for sentence in re.split(r"(?<=[.?!])\s+", " ".join(marked.split())):
            if "\0" not in sentence and len(chosen) + len(sentence) < LETTERS:
                chosen = f"{chosen} {sentence}".strip()
        if len(chosen) > LETTERS / 3:
            break
    if chosen:
        doctree.insert(0, nodes.meta("", name="description", content=chosen))
        app.env.metadata[name]["og:description"] = escape(chosen)


def load_lazily(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Lets the browser fetch a picture when it is near; what is printed needs all at once."""
    for image in doctree.findall(nodes.image) if app.builder.name == "html" else ():
        image["loading"] = "lazy"


def pages(app: Sphinx) -> list[str]:
    """Lists the pages in the order of the book."""
    first = app.config.master_doc
    return [first, *app.env.toctree_includes.get(first, ())]


def plain_page(app: Sphinx, title: str, base: str, head: str = "") -> str:
    """Writes a page that needs no other file: a title, and links to all pages of the book."""
    links = "\n".join(
        f'<li><a href="{base}{app.builder.get_target_uri(page)}">'
        f"{escape(app.env.titles[page].astext())}</a></li>"
        for page in pages(app)
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n{head}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        "<style>:root { color-scheme: light dark } body { font: 1.1rem/1.6 sans-serif; "
        "max-width: 40rem; margin: 3rem auto; padding: 0 1rem }</style>\n"
        f"<h1>{escape(title)}</h1>\n<ul>\n{links}\n</ul>\n</html>\n"
    )


def shrink_icons(out: Path) -> None:
    """Cuts the theme's icons, 1.8 MB in scripts and fonts, to those in use, as fonts."""
    (out / "_static/scripts/fontawesome.js").write_text("// The icons are fonts.\n")
    sheet = out / "_static/styles/pydata-sphinx-theme.css"
    css = re.sub(r'url\([^)]*\.woff2\) format\("woff2"\),', "", sheet.read_text())
    scripts = (out / "_static/scripts").glob("*.js")
    words = "".join(path.read_text() for path in [*out.rglob("*.html"), *scripts])
    used = {*re.findall(r"\bfa-[a-z0-9-]+", words)}
    codes = re.findall(r'--pst-icon-[a-z-]+:"\\([0-9a-f]+)"', css)

    def keep(rule: re.Match) -> str:
        if not used & {*re.findall(r"fa-[a-z0-9-]+", rule[1])}:
            return ""
        codes.append(rule[2])
        return rule[0]

    rules = r'((?:\.fa-[a-z0-9-]+:before,?)+)\{content:"\\([0-9a-f]+)"\}'
    sheet.write_text(re.sub(rules, keep, css))
    for path in (out / "_static/vendor/fontawesome/webfonts").glob("*.ttf"):
        font = subset.load_font(path, subset.Options())
        cut = subset.Subsetter()
        cut.populate(unicodes=[int(code, 16) for code in codes])
        cut.subset(font)
        font.save(path)
        path.with_suffix(".woff2").unlink()


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Writes what no page is the source of."""
    if exception or app.builder.name != "html":
        return
    out, base = Path(app.outdir), app.config.html_baseurl
    address = app.builder.get_target_uri
    places = "\n".join(
        f"<url><loc>{urljoin(base, address(page))}</loc></url>" for page in pages(app)
    )
    (out / "sitemap.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{places}\n</urlset>\n'
    )
    first = address(app.config.master_doc)
    (out / "404.html").write_text(plain_page(app, "This page does not exist", base))
    head = f'<meta http-equiv="refresh" content="0; url={first}">\n'
    head += f'<link rel="canonical" href="{urljoin(base, first)}">\n'
    (out / "index.html").write_text(plain_page(app, app.config.html_title, "", head))
    shrink_icons(out)


def setup(app: Sphinx) -> dict:
    """Connects them; index.html comes before the bare one that sphinx-external-toc would write."""
    app.connect("doctree-resolved", describe, priority=900)
    app.connect("doctree-resolved", load_lazily, priority=900)
    app.connect("build-finished", finish, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
