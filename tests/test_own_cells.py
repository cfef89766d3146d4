"""A kind of cell outside the package is one file: run, resumed, stored, published, verified."""

import json
import re
import textwrap

import jax
import pytest

from dofbook.cli import main
from dofbook.errors import InputError
from dofbook.experiments.config import Cell, CellConfig, canonical_json, cell_from_json, cell_kind
from dofbook.experiments.cuts import CutCell
from dofbook.experiments.executors import run_sweep
from dofbook.experiments.published import read_provenance, read_published
from dofbook.experiments.store import Store
from dofbook.methods import Method, RandomAffine, methods
from dofbook.training import TaskConfig

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


def test_a_field_younger_than_its_cells_is_not_hashed_at_its_default(own):
    kind, _ = own
    kind.later_fields = ("to",)
    for cell in (kind(task=TaskConfig("digits", "mlp"), to=to) for to in (3, 4)):
        assert ("to" in json.loads(canonical_json(cell))) == (cell.to == 4)
        assert cell_from_json(canonical_json(cell)) == cell


@pytest.mark.parametrize("name", ["math:prod", "dofbook.experiments.config:Cell", "no_such:Kind"])
def test_another_name_is_refused_in_a_sentence(name):
    with pytest.raises(InputError, match=name.split(":")[1] if "no" not in name else "imported"):
        cell_kind(name)


def test_a_list_of_something_else_is_refused(capsys):
    assert main(["sweep", "--figure", "math:prod", "--dry-run"]) == 2
    assert main(["sweep", "--figure", "os:listdir", "--dry-run"]) == 2
    assert "list of Cells" in capsys.readouterr().err


ODD = """
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np
import pandas as pd

from dofbook.experiments.config import Cell
from dofbook.methods import RandomAffine
from dofbook.training import TaskConfig


class Stop(BaseException):
    pass


@dataclass(frozen=True, kw_only=True)
class Odd(Cell):
    what: Any = ""

    kind: ClassVar[str] = "own_odd:Odd"

    def parts(self, task, seed):
        if self.what == "stop":
            raise Stop("here")
        if self.what == "x64":
            jax.config.update("jax_enable_x64", True)
        found = {"mixed": [1, "a"], "complex": [1j], "accuracy": [7.0], "seed": [9]}
        name = {"accuracy": "test_accuracy", "seed": "seed"}.get(self.what, "number")
        yield {name: found.get(self.what, [0])}


@dataclass(frozen=True, kw_only=True)
class Together(Cell):
    kind: ClassVar[str] = "own_odd:Together"

    def rows(self, task, batching):
        return pd.DataFrame({**self.names, "seed": self.seeds, "number": len(self.seeds)})


@dataclass(frozen=True)
class Other(RandomAffine):
    name: ClassVar[str] = "own_odd:Other"

    def subspace(self, task, seed, d):
        return super().subspace(task, seed, d + 1)


@dataclass(frozen=True)
class Taken(RandomAffine):
    name: ClassVar[str] = "own_odd:Taken"

    def columns(self, task, subspace):
        return {"train_loss": 0.0}


@dataclass(frozen=True)
class Invalid(RandomAffine):
    name: ClassVar[str] = "own_odd:Invalid"

    def validate(self):
        raise ValueError("no such thing")


@dataclass(frozen=True)
class Nowhere(RandomAffine):
    name: ClassVar[str] = "own_odd:Nowhere"

    def dims(self, dims):
        return np.zeros(2) @ np.zeros(3)


@dataclass(frozen=True)
class Checked(RandomAffine):
    name: ClassVar[str] = "own_odd:Checked"

    def check(self, task, d):
        1 / 0


def nothing():
    return None


def twice():
    return 2 * listed("")


def listed(*kinds):
    return [Odd(task=TaskConfig("digits", "mlp"), what=what) for what in kinds]


def unwritable():
    return listed(object())
"""
TASK = ["--dataset", "digits", "--network", "mlp", "--epochs", "1", "--train-size", "100"]


@pytest.fixture
def odd(tmp_path, monkeypatch):
    (tmp_path / "own_odd.py").write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    yield cell_kind("own_odd:Odd"), Store(tmp_path / "store")
    jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("stop", "Stop: here"),
        ("mixed", "Arrow"),
        ("complex", "Arrow"),
        ("accuracy", "its column test_accuracy leaves the range from 0 to 1"),
        ("seed", "it has the seeds [9], not (0,)"),
    ],
)
def test_rows_that_no_reader_takes_are_those_of_a_failed_cell(odd, what, said):
    module, store = __import__("own_odd"), odd[1]
    bad, good = cells = module.listed(what, "")
    report = run_sweep(cells, store, progress=False)
    assert (list(report.failures), report.computed, report.lost) == ([bad.name], 1, [])
    assert said in report.failures[bad.name] and store.names() == [good.name]


def test_a_setting_of_jax_that_a_cell_leaves_fails_the_next(odd):
    cells = __import__("own_odd").listed("x64", "")
    report = run_sweep(cells, odd[1], progress=False, retries=0)
    assert list(report.failures) == [cells[1].name]
    assert "JAX_ENABLE_X64 is True" in report.failures[cells[1].name]


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("Other", "own_odd:Other laid d = 3 in D = 2410, where d = 2 in D = 2410 was asked"),
        ("Taken", "own_odd:Taken adds the columns train_loss, which are taken"),
    ],
)
def test_a_method_that_gives_something_else_is_a_sentence(odd, method, said, capsys):
    line = ["sweep", *TASK, "--method", f"own_odd:{method}", "--dims", "2", "--no-baseline"]
    assert main([*line, "--test-size", "50", "--store", str(odd[1].root)]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("Invalid", "raised ValueError: no such thing (in validate at"),
        ("Nowhere", "raised ValueError: matmul: Input operand 1"),
        ("Checked", "raised ZeroDivisionError: division by zero (in check at"),
    ],
)
def test_what_a_method_raises_is_a_sentence_with_its_line(odd, method, said, capsys):
    line = ["sweep", *TASK, "--method", f"own_odd:{method}", "--dims", "2", "--no-baseline"]
    assert main([*line, "--test-size", "50", "--store", str(odd[1].root)]) == 2
    found = capsys.readouterr().err
    assert said in found and "own_odd.py, line" in found and found.count("\n") == 1
    assert not odd[1].root.exists()


def test_a_function_without_cells_is_refused_and_a_cell_listed_twice_is_one(odd, capsys):
    assert main(["sweep", "--figure", "own_odd:nothing"]) == 2
    assert "own_odd:nothing gave None; it must give a list of Cells." in capsys.readouterr().err
    assert main(["sweep", "--figure", "own_odd:twice", "--store", str(odd[1].root)]) == 0
    assert "1 cells: 0 were stored, 1 computed" in capsys.readouterr().out


def test_fields_that_are_no_json_are_refused(odd, capsys):
    assert main(["sweep", "--figure", "own_odd:unwritable", "--dry-run"]) == 2
    assert "cannot be written as JSON: Object of type object" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("base", "attribute", "name", "said"),
    [
        ("Method", "name", "affine", "has the name 'affine'; it needs a `name` of its own"),
        ("Method", "name", 3, "has the name 3; it must be a word"),
        ("RandomAffine", "label", "", "has the name 'affine'; it needs a `name` of its own"),
        ("Cell", "kind", "cut", "has the kind 'cut'"),
        ("CutCell", "label", "", "has the kind 'cut'"),
        ("Cell", "label", "", "has the kind ''; it must be"),
        ("CellConfig", "kind", "mine:Runs", "extends CellConfig; a kind of its own extends Cell"),
    ],
)
def test_a_class_that_would_share_the_cells_of_another_cannot_be_made(base, attribute, name, said):
    bases = {"Method": Method, "RandomAffine": RandomAffine, "Cell": Cell, "CutCell": CutCell}
    bases["CellConfig"] = CellConfig
    with pytest.raises(InputError, match=re.escape(said)):
        type("Mine", (bases[base],), {attribute: name})


def test_a_function_makes_methods_that_need_names_of_their_own():
    def made(scale):
        class Scaled(RandomAffine):
            name = f"scaled {scale}"

        return Scaled

    assert made(1).name != made(2).name
    with pytest.raises(InputError, match="it needs a `name` of its own"):
        made(1)


def test_seeds_of_a_cell_with_rows_of_its_own_are_not_taken_for_others(odd):
    kind = cell_kind("own_odd:Together")
    few, more = (kind(task=TaskConfig("digits", "mlp"), seeds=seeds) for seeds in ((0,), (0, 1)))
    assert run_sweep([few, more], odd[1], progress=False).computed == 2
    assert odd[1].read(more.name).table["number"].to_pylist() == [2, 2]


def test_a_method_defined_twice_is_the_same():
    for _ in range(2):
        kind = type("Again", (Method,), {"name": "again"})
    assert methods()["again"] is kind
