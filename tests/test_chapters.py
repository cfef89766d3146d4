"""What CONTRIBUTING asks of the text of a chapter."""

import ast
import re
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[1] / "book"
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(BOOK.glob("*.md"))}
CELL = re.compile(
    r"^```\{code-cell\}[^\n]*\n(?:---\n.*?\n---\n|(?::[^\n]*\n)*)(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def import_lines(source: str) -> int:
    nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, (ast.Import, ast.ImportFrom))]
    return sum(node.end_lineno - node.lineno + 1 for node in nodes)


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if CELL.search(text)])
def test_imports_at_the_top_are_at_most_five_lines(name):
    counts = [import_lines(cell) for cell in CELL.findall(TEXTS[name])]
    assert next(filter(None, counts)) <= 5


TERMS = re.findall(r"^(?=\w)(.+)$", TEXTS["glossary"].split(":sorted:")[1], re.MULTILINE)
ORDINARY = {"cell of a sweep", "checkpoint", "offset", "profile", "run", "seed", "store"}
"""Words with a plain meaning, too."""
LINK = re.compile(r"\{term\}`(?:[^`<]*<([^>`]*)>|([^`<]*))`")
NO_PROSE = (
    r"^---\n.*?^---$|^(?P<fence>`{3,})(?:\{code-cell\}|\{literalinclude\}|bash|python).*?^(?P=fence)$",
    r"^[`:]{3,}.*?$|^:\w+:.*?$|^#.*?$|^:::\{math\}.*?^:::$|\$\$.*?\$\$|\$[^$]*\$",
    r"\{term\}`[^`]*`|(?:\{[\w:]+\})?`[^`]*`|\"[^\"]*\"",
)


def masked(pattern: str, text: str, but: str = "") -> str:
    """Put dots in place of what a pattern matches, but where that begins so."""

    def dots(found):
        return found[0] if but and found[0].startswith(but) else "." * len(found[0])

    return re.sub(pattern, dots, text, flags=re.MULTILINE | re.DOTALL)


def early_uses(text: str) -> list[tuple[int, int, str]]:
    """List start and end of each term of the glossary that a text uses before it links it."""
    for pattern in NO_PROSE:
        text = masked(pattern, text, but="{term}")
    links = {}
    for link in LINK.finditer(text):
        links.setdefault(" ".join((link[1] or link[2]).split()).lower(), link.start())
    text, found = masked(LINK.pattern, text), []
    for term in sorted(set(TERMS) - ORDINARY, key=len, reverse=True):
        words = r"\b(?i:" + r"\s+".join(map(re.escape, term.split())) + r")s?\b"
        use = re.search(words, text)
        if use and use.start() < links.get(term.lower(), len(text)):
            found.append((*use.span(), term))
        text = masked(words, text)
    return found


@pytest.mark.parametrize("name", [name for name in TEXTS if name not in ("glossary", "references")])
def test_terms_are_links_where_they_are_first_used(name):
    assert [TEXTS[name][start:end] for start, end, _ in early_uses(TEXTS[name])] == []
