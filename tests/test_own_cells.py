"""A kind of cell outside the package is one file: run, resumed, stored, published, verified."""

import json
import textwrap

import pytest

from dofbook.cli import main
from dofbook.errors import InputError
from dofbook.experiments.config import canonical_json, cell_from_json, cell_kind
from dofbook.experiments.published import read_provenance, read_published
from dofbook.experiments.store import Store

MODULE = '''
    """Counts."""

    from dataclasses import dataclass
    from typing import ClassVar

    from dofbook.experiments.config import Cell
    from dofbook.training import TaskConfig


    @dataclass(frozen=True, kw_only=True)
    class CountCell(Cell):
        to: int = 3

        kind: ClassVar[str] = "own_counts:CountCell"

        def parts(self, task, seed):
            yield {"number": range(self.to), "weight": float(task.network.D)}


    def wanted():
        return [CountCell(task=TaskConfig("digits", "mlp"), seeds=(0, 1), to=to) for to in (3, 4)]
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write the module where Python finds it; give it, and the folder."""
    (tmp_path / "own_counts.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.syspath_prepend(tmp_path)
    return cell_kind("own_counts:CountCell"), tmp_path


def test_the_command_line_runs_resumes_publishes_and_verifies_it(own, capsys):
    kind, folder = own
    store, table = str(folder / "store"), folder / "counts.parquet"
    line = ["--figure", "own_counts:wanted", "--store", store]
    assert main(["sweep", *line, "--dry-run"]) == 0 and not Store(folder / "store").names()
    assert main(["sweep", *line, "--table", str(table), "--quiet"]) == 0
    rows = read_published("counts", folder)
    assert rows.groupby(["cell", "seed"]).number.count().tolist() in ([3, 3, 4, 4], [4, 4, 3, 3])
    assert rows.weight.unique().tolist() == [2410]
    written = read_provenance("counts", folder)["cells"].values()
    assert {cell["kind"] for cell in written} == {kind.kind}
    capsys.readouterr()
    assert main(["sweep", *line]) == 0
    assert "2 were stored, 0 computed" in capsys.readouterr().out
    assert main(["status", "--store", store]) == 0
    assert "2 done" in capsys.readouterr().out
    assert main(["verify", *line, "--sample", "2"]) == 0


def test_the_source_that_decides_its_rows_is_recorded(own):
    kind, folder = own
    line = ["sweep", "--figure", "own_counts:wanted", "--store", str(folder / "store"), "--quiet"]
    assert main(line) == 0
    stored = [Store(folder / "store").read(name) for name in Store(folder / "store").names()]
    assert all(list(cell.provenance["code"]["sources"]) == [kind.kind] for cell in stored)


def test_its_configuration_is_read_back(own):
    kind, _ = own
    cell = __import__("own_counts").wanted()[0]
    assert isinstance(cell, kind) and cell_from_json(canonical_json(cell)) == cell
    assert json.loads(canonical_json(cell))["to"] == 3


@pytest.mark.parametrize("name", ["math:prod", "dofbook.experiments.config:Cell", "no_such:Kind"])
def test_another_name_is_refused_in_a_sentence(name):
    with pytest.raises(InputError, match=name.split(":")[1] if "no" not in name else "imported"):
        cell_kind(name)


def test_a_list_of_something_else_is_refused(capsys):
    assert main(["sweep", "--figure", "math:prod", "--dry-run"]) == 2
    assert main(["sweep", "--figure", "os:listdir", "--dry-run"]) == 2
    assert "list of Cells" in capsys.readouterr().err
