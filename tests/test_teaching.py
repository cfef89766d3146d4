"""The graded assignment: otter accepts its solution in full and an empty notebook not at all."""

import json
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

SOURCE = Path(__file__).parents[1] / "book" / "teaching" / "assignment.md"


def otter(*arguments: object) -> None:
    command = [sys.executable, "-m", "otter", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Student and solution versions and the tests, as `make teaching` builds them."""
    pytest.importorskip(
        "otter",
        reason="otter-grader is not installed; `make teaching` makes an environment with it",
    )
    folder = tmp_path_factory.mktemp("assignment")
    master = folder / "random-subspaces.ipynb"
    nbformat.write(jupytext.read(SOURCE), master)
    otter("assign", "--no-run-tests", master, folder)
    return folder


def scores(built: Path, version: str) -> list[tuple[float, float]]:
    """Points got and points possible, question by question."""
    (tests,) = built.glob("autograder/*.zip")
    otter("run", "-a", tests, "-o", built / version, built / version / "random-subspaces.ipynb")
    found = json.loads((built / version / "results.json").read_text())["tests"]
    return [(each["score"], each["max_score"]) for each in found if each.get("max_score")]


@pytest.mark.timeout(1800)
def test_the_solution_gets_every_point_and_the_empty_version_none(built):
    full = scores(built, "autograder")
    assert len(full) == 6
    assert all(got == possible > 0 for got, possible in full)
    assert [got for got, _ in scores(built, "student")] == [0] * len(full)


def test_the_student_version_shows_neither_solutions_nor_hidden_checks(built):
    student = (built / "student" / "random-subspaces.ipynb").read_text()
    for secret in ("SOLUTION", "HIDDEN", "(best >= level).mean", "cap_hit_probability"):
        assert secret not in student
    assert "np.cos(np.maximum(phi - angle, 0))" not in student
