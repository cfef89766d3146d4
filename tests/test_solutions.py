"""Exercises and their solutions: what a solution prints is run by the build, and folded with it."""

import re
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[1] / "book"
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(BOOK.glob("*.md"))}
PLAIN = r"^(?P<fence>`{3,})\{solution\} (?P<a>\S+)\n(?P<inner>.*?)^(?P=fence)$"
GATED = r"^```\{solution-start\} (?P<b>\S+)\n(?P<cells>.*?)^```\{solution-end\}\n```$"
SOLUTION = re.compile(f"{PLAIN}|{GATED}", re.MULTILINE | re.DOTALL)
EXERCISE = re.compile(r"^`{3,}\{exercise\}.*\n:label: (\S+)$", re.MULTILINE)
CHAPTERS = [name for name, text in TEXTS.items() if EXERCISE.search(text)]


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_exercise_has_one_folded_solution(name):
    found = list(SOLUTION.finditer(TEXTS[name]))
    labels = [match["a"] or match["b"] for match in found]
    assert sorted(labels) == sorted(EXERCISE.findall(TEXTS[name]))
    for match in found:
        assert (match["inner"] or match["cells"]).startswith(":class: dropdown\n"), match[0][:60]


@pytest.mark.parametrize("name", CHAPTERS)
def test_code_in_a_solution_is_a_cell_which_the_build_executes(name):
    for match in SOLUTION.finditer(TEXTS[name]):
        printed = re.findall(r"^`{3,}(?:\{code(?:-block)?\} ?)?i?py\w*", match[0], re.MULTILINE)
        assert printed == [], match["a"] or match["b"]


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_check_of_a_solution_is_folded_with_it(name):
    """A cell right behind a folded solution would show its output to who has not opened it."""
    for match in SOLUTION.finditer(TEXTS[name]):
        after = TEXTS[name][match.end() :].lstrip()
        assert not after.startswith("```{code-cell}"), match["a"] or match["b"]


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_chapter_with_exercises_has_one_project(name):
    projects = re.findall(r"^`{3,}\{exercise\} \(project\) \S", TEXTS[name], re.MULTILINE)
    assert len(projects) == (name != "errata"), projects
