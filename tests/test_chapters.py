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
