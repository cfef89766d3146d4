"""What decides a result beside its configuration: refused where it differs, or recorded."""

import importlib
import json
import linecache
import os
import subprocess
import sys
from dataclasses import replace

import jax
import pytest
from run_rows import complete

from dofbook import provenance
from dofbook.cli import main
from dofbook.errors import InputError, RunFailed
from dofbook.experiments import executors, index
from dofbook.experiments.cell import run_cell
from dofbook.experiments.config import CellConfig, TaskConfig
from dofbook.experiments.executors import Outcome, run_sweep
from dofbook.experiments.sources import source_digest
from dofbook.experiments.store import Store
from dofbook.experiments.tables import write_table
from dofbook.experiments.verification import repeats_bits
from dofbook.methods import LotteryTicket, RandomAffine
from dofbook.training import Batching, make_task

TASK = TaskConfig(network="mlp", train_size=100, test_size=50, epochs=1)
CELL = CellConfig(task=TASK, d=4, seeds=(0, 1))
NETWORK = """
from flax import linen as nn

class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(16)(x.reshape(x.shape[0], -1)))
        return nn.Dense(10)(x)

def net(classes):
    return Net()
"""


@pytest.fixture
def edit(tmp_path, monkeypatch):
    """Give a function that writes a reader's network anew, as between two sessions."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget():
        sys.modules.pop("edited_network", None)
        importlib.invalidate_caches()
        linecache.checkcache()

    def write(text):
        (tmp_path / "edited_network.py").write_text(text)
        forget()

    write.forget = forget
    yield write
    forget()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Dense(16)", "Dense(64)", "it had D = 1210 parameters, now it has 4810"),
        ("nn.relu", "nn.tanh", "its code was edited since"),
        ("return nn.Dense(10)(x)", "return nn.Dense(10, name='last')(x)", "other names or shapes"),
        ("return Net()", "# the same\n    return (Net())", None),
    ],
)
def test_a_network_edited_between_two_sweeps_is_not_mixed(tmp_path, edit, old, new, said, caplog):
    cells = [
        CellConfig(task=replace(TASK, network="edited_network:net"), d=d, seeds=(0,))
        for d in (2, 4)
    ]
    store = Store(tmp_path / "store")
    edit(NETWORK)
    assert run_sweep(cells[:1], store, progress=False).computed == 1
    before = store.path(cells[0].name).read_bytes()
    edit(NETWORK.replace(old, new))
    if said is None:
        assert run_sweep(cells, store, progress=False).stored == 1
    else:
        with pytest.raises(InputError, match=said):
            run_sweep(cells, store, progress=False)
        assert store.names() == [cells[0].name]
        with pytest.raises(InputError, match=said):  # though nothing is left to compute
            run_sweep(cells[:1], store, progress=False)
    assert store.path(cells[0].name).read_bytes() == before
    edit("import no_such_module")
    caplog.clear()
    assert run_sweep(cells[:1], store, progress=False).stored == 1
    assert "not compared with the data and code of today" in caplog.text


def test_a_search_of_which_all_is_stored_needs_no_network(tmp_path, edit, capsys):
    line = ["sweep", "--dataset", "digits", "--network", "edited_network:net", "--epochs", "1"]
    line += ["--train-size", "100", "--test-size", "50", "--dims", "1,2,4", "--no-baseline"]
    line += ["--runs", "2", "--store", str(tmp_path / "store"), "--adaptive", "--level", "0.01"]
    edit(NETWORK)
    assert main(line) == 0
    found = capsys.readouterr().out
    (tmp_path / "edited_network.py").unlink()
    edit.forget()
    assert main(line) == 0
    assert capsys.readouterr().out == found
    assert main([*line[:-1], "0.99"]) == 2
    assert "edited_network:net cannot be imported" in capsys.readouterr().err


def test_an_edited_network_is_seen_though_the_data_are_gone(tmp_path, edit):
    (tmp_path / "gone_data.py").write_text(
        "import numpy as np\n"
        "from dofbook.datasets import Dataset\n"
        "def small(folder):\n"
        "    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2\n"
        "    return Dataset.from_arrays(x, y, x, y)\n"
    )
    task = replace(TASK, network="edited_network:net", dataset="gone_data:small")
    task = replace(task, train_size=None, test_size=None)
    cells, store = [CellConfig(task=task, d=2, seeds=(0,))], Store(tmp_path / "store")
    edit(NETWORK)
    assert run_sweep(cells, store, progress=False).computed == 1
    sys.modules.pop("gone_data")
    (tmp_path / "gone_data.py").unlink()
    edit(NETWORK)
    assert run_sweep(cells, store, progress=False).stored == 1
    edit(NETWORK.replace("nn.relu", "nn.tanh"))
    with pytest.raises(InputError, match="edited_network:net: its code was edited since"):
        run_sweep(cells, store, progress=False)


def test_cells_without_a_record_of_the_code_are_known_by_their_d(tmp_path, edit):
    task = replace(TASK, network="edited_network:net")
    one, other = (CellConfig(task=task, d=d, seeds=(0,)) for d in (2, 4))
    store = Store(tmp_path / "store")
    edit(NETWORK)
    run_sweep([one], store, progress=False)
    found = store.read(one.name)
    origin = {k: v for k, v in found.provenance.items() if k != "code"}
    store.write(one, found.table.to_pandas(), origin)
    edit(NETWORK.replace("16", "64"))
    with pytest.raises(InputError, match="it had D = 1210 parameters, now it has 4810"):
        run_sweep([one, other], store, progress=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jax_enable_x64", True),
        ("jax_random_seed_offset", 3),
        ("jax_numpy_dtype_promotion", "strict"),
        ("jax_transfer_guard", "log"),
        ("jax_debug_nans", True),
    ],
)
def test_settings_with_which_a_seed_means_other_numbers_are_refused(tmp_path, name, value):
    before = jax.config.values[name]
    jax.config.update(name, value)
    try:
        with pytest.raises(InputError, match=f"{name.upper()} is {value}"):
            run_sweep([CELL], Store(tmp_path), progress=False)
        with pytest.raises(InputError, match="unset it"):
            run_cell(CELL)
    finally:
        jax.config.update(name, before)
    assert not list(tmp_path.iterdir())


def test_settings_that_round_otherwise_are_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=")
    store = Store(tmp_path)
    run_sweep([CELL], store, progress=False)
    found = store.read(CELL.name)
    recorded = found.provenance["settings"]
    assert recorded["XLA_FLAGS"] == "--xla_dump_to="
    now = jax.config.values["jax_disable_most_optimizations"]
    assert recorded["jax_disable_most_optimizations"] == now
    assert json.dumps(recorded)
    assert repeats_bits(found, Batching("sequential"))
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    assert not repeats_bits(found, Batching("sequential"))


def test_another_commit_is_mentioned(tmp_path, monkeypatch, caplog, capsys):
    here = {"commit": "b" * 40}
    monkeypatch.setattr(index, "commit", lambda: here)
    monkeypatch.setattr(executors, "environment", lambda: {"git": here})
    cells = [CellConfig(task=TASK, d=d) for d in (2, 4)]
    store = Store(tmp_path)
    run_sweep(cells[:1], store, progress=False)
    found = store.read(cells[0].name)
    for commit, said in (("a" * 40, True), ("b" * 40, False)):
        origin = {**found.provenance, "environment": {"git": {"commit": commit}}}
        store.write(cells[0], found.table.to_pandas(), origin)
        store.path(cells[1].name).unlink(missing_ok=True)
        caplog.clear()
        run_sweep(cells, store, progress=False)
        sentence = "1 of 1 stored cells were computed by dofbook at other commits, such as aaaa"
        assert (sentence in caplog.text) == said
        assert main(["status", "--store", str(tmp_path)]) == 0
        assert ("computed by dofbook at other commits" in capsys.readouterr().err) == said


def test_an_edit_of_the_package_before_its_commit_is_mentioned(tmp_path, monkeypatch, caplog):
    """As after a method of ours was edited between two sweeps: both have the same commit."""
    here = {"commit": "b" * 40, "dirty": True, "edits": "1" * 16}
    monkeypatch.setattr(index, "commit", lambda: here)
    monkeypatch.setattr(executors, "environment", lambda: {"git": here})
    cells = [CellConfig(task=TASK, d=d) for d in (2, 4, 8)]
    run_sweep(cells[:1], Store(tmp_path), progress=False)
    run_sweep(cells[:2], Store(tmp_path), progress=False)
    assert "other commits" not in caplog.text
    monkeypatch.setattr(index, "commit", lambda: {**here, "edits": "2" * 16})
    run_sweep(cells, Store(tmp_path), progress=False)
    assert "such as bbbbbbbbbb, edited; this is bbbbbbbbbb, edited." in caplog.text


def test_the_package_is_digested_where_it_differs_from_its_commit(tmp_path, monkeypatch):
    package, file = tmp_path / "dofbook", tmp_path / "dofbook" / "provenance.py"
    package.mkdir()
    monkeypatch.setattr(provenance, "__file__", str(file))
    assert provenance.commit() is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for name in ("dofbook/provenance.py", "other.txt"):
        (tmp_path / name).write_text("1")
    for line in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *line], check=True)
    found = provenance.commit()
    assert set(found) == {"commit", "dirty"} and not found["dirty"]
    (tmp_path / "other.txt").write_text("2")
    assert provenance.commit() == found | {"dirty": True}
    digests = set()
    for text in ("2", "3"):
        file.write_text(text)
        digests.add(provenance.commit()["edits"])
    assert len(digests) == 2
    file.write_text("1")
    assert "edits" not in provenance.commit()


def test_a_search_mentions_another_commit_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(index, "commit", lambda: {"commit": "b" * 40})
    line = ["sweep", "--dataset", "digits", "--network", "mlp", "--epochs", "1", "--runs", "3"]
    line += ["--train-size", "100", "--test-size", "50", "--dims", "1,2,4,8", "--no-baseline"]
    line += ["--store", str(tmp_path), "--adaptive", "--level"]
    assert main([*line, "0.3"]) == 0
    assert "other commits" not in capsys.readouterr().err
    monkeypatch.setattr(index, "commit", lambda: {"commit": "c" * 40})
    assert main([*line, "0.3,0.9"]) == 0
    said = capsys.readouterr().err
    assert said.count("dofbook: 6 of 6 stored cells were computed by dofbook at other commits") == 1


# --- runs that another cell of the family holds --------------------------------------------------


def counting(asked):
    def run(cell, data_dir=None):
        asked.append(cell.seeds)
        return run_cell(cell, data_dir)

    return run


@pytest.mark.parametrize("method", [RandomAffine(), LotteryTicket(pruning_epochs=1)])
@pytest.mark.parametrize(
    ("stored", "wanted", "left"),
    [
        ([(0, 1)], (0, 1, 2), [(2,)]),
        ([(0, 1, 2)], (0, 1), []),
        ([(1,), (2,)], (0, 1, 2), [(0,)]),
        ([(0, 1, 2)], (1, 2), [(1, 2)]),  # a count from another first seed is not looked for
    ],
)
def test_finished_seeds_are_reused(tmp_path, method, stored, wanted, left):
    asked, store, fresh = [], Store(tmp_path / "store"), Store(tmp_path / "fresh")
    cells = [CellConfig(task=TASK, method=method, d=4, seeds=seeds) for seeds in stored]
    run_sweep(cells, store, progress=False)
    cell = replace(cells[0], seeds=wanted)
    assert run_sweep([cell], store, progress=False, run_cell=counting(asked)).computed == 1
    assert asked == left
    run_sweep([cell], fresh, progress=False)
    for one, name in ((store, "a.parquet"), (fresh, "b.parquet")):
        write_table(one, tmp_path / name, [cell.name])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_reused_runs_say_where_they_come_from(tmp_path):
    store = Store(tmp_path / "store")
    run_sweep([CELL], store, progress=False)
    found = store.read(CELL.name)
    origin = {**found.provenance, "wall_seconds": 100.0, "environment": {"versions": {"jax": "0"}}}
    store.write(CELL, found.table.to_pandas(), origin)
    more = replace(CELL, seeds=(0, 1, 2))
    run_sweep([more], store, progress=False)
    grown = store.read(more.name)
    assert grown.provenance["parts"][CELL.name]["seeds"] == [0, 1]
    assert 100.0 < grown.provenance["wall_seconds"] < 200.0
    write_table(store, tmp_path / "t.parquet", [more.name])
    about = json.loads((tmp_path / "t.provenance.json").read_text())
    assert {"versions": {"jax": "0"}} in about["environments"] and len(about["environments"]) == 2
    assert not repeats_bits(grown, Batching("sequential"))


def test_runs_of_other_data_are_not_reused(tmp_path):
    store = Store(tmp_path)
    run_sweep([CELL], store, progress=False)
    found = store.read(CELL.name)
    origin = {**found.provenance, "dataset": {"source": "elsewhere", "fingerprint": "0"}}
    store.write(CELL, found.table.to_pandas(), origin)
    with pytest.raises(InputError, match="computed from other digits data"):
        run_sweep([CELL], store, progress=False)
    more = replace(CELL, seeds=(0, 1, 2))
    report = run_sweep([more], store, progress=False)
    assert "computed from other digits data" in report.failures[more.name]


# --- the store is looked at when the sweep is done -----------------------------------------------


@pytest.mark.parametrize("way", ["deleted", "damaged"])
def test_cells_lost_during_a_sweep_are_told(tmp_path, way):
    store = Store(tmp_path)
    cells = [CellConfig(task=TASK, d=d) for d in (1, 2, 3)]

    def losing(cell, data_dir=None):
        if cell == cells[2]:
            victim = store.path(cells[0].name)
            victim.unlink() if way == "deleted" else victim.write_bytes(b"")
        return complete(cell, {"seed": cell.seeds, "step": 0})

    report = run_sweep(cells, store, progress=False, run_cell=losing)
    assert (report.computed, report.failures, report.lost) == (3, {}, [cells[0].name])
    report = run_sweep(cells, store, progress=False, run_cell=losing)
    assert (report.stored, report.computed, report.lost) == (2, 1, [])


def test_a_worker_that_calls_the_cell_otherwise_ends_the_sweep(tmp_path):
    class Other:
        """An executor whose workers have another version."""

        def map(self, run, cells):
            yield from ((cell, Outcome(0.0, name="0123456789abcdef")) for cell in cells)

    with pytest.raises(RunFailed, match="under the name 0123456789abcdef: it has another version"):
        run_sweep([CELL], Store(tmp_path), Other(), progress=False)


def test_a_cell_whose_code_calls_exit_is_a_failed_cell(tmp_path):
    def leaves(cell, data_dir=None):
        raise SystemExit(0)

    store = Store(tmp_path)
    report = run_sweep([CELL], store, progress=False, run_cell=leaves)
    assert list(report.failures) == list(store.failures()) == [CELL.name]
    assert "SystemExit" in report.failures[CELL.name]


def test_an_older_worker_that_says_nothing_is_found_out_in_the_end(tmp_path):
    class Older:
        def map(self, run, cells):
            yield from ((cell, Outcome(0.0)) for cell in cells)

    assert run_sweep([CELL], Store(tmp_path), Older(), progress=False).lost == [CELL.name]


BESIDE = '''
import functools
from typing import TYPE_CHECKING

import origin_effects
from origin_helper import step
from origin_lazy import anything
from origin_made import made
from origin_star import *

RATE = 0.5
KIND = "1.5"
if RATE:

    def scale(x):
        return x * RATE


if TYPE_CHECKING:
    from numpy import ndarray
if __name__ != "__main__":
    try:
        from extras.fast import faster as half_or_faster
    except ImportError:
        half_or_faster = None
try:
    import never_there
except ImportError:
    never_there = None
try:
    import json as fast
except ImportError:
    fast = None

half = functools.partial(scale)
half.table = [used for used in range(2)]


def used(x):
    """Describe."""
    from origin_helper import late

    if half_or_faster:
        half = half_or_faster
    return half(made(starred(step(x) * RATE)), anything) + float(fast.loads(KIND))


def unused(x):
    return x
'''
HELPER = "def step(x):\n    return x + 1\n\n\ndef other(x):\n    return x\n\n\nlate = 1\n"
EFFECTS = "import sys\n\nsys.path_hooks.append(1)\n"
LAZY = "def __getattr__(name):\n    return 2.0\n"
MADE = """
if __name__ == "__main__":
    made = None
else:
    SHIFT = 0

    def doubled(start):
        class Doubled:
            def __call__(self, x):
                return start + 2 * x + SHIFT

        return Doubled

    made = doubled(0)()
"""
STAR = "import origin_helper\n\nstarred = lambda x: x\n"
MODULES = {"origin_main": BESIDE, "origin_helper": HELPER, "origin_star": STAR}
MODULES |= {"origin_effects": EFFECTS, "origin_lazy": LAZY, "origin_made": MADE}


@pytest.mark.parametrize(
    ("module", "old", "new", "same"),
    [
        ("origin_main", "def unused(x):\n    return x", "def unused(x):\n    return -x", True),
        ("origin_main", "Describe.", "Describe otherwise.", True),
        ("origin_main", "RATE = 0.5", "RATE  = (0.5)  # a half", True),
        ("origin_main", "import never_there", "import nor_there as never_there", True),
        ("origin_main", "from numpy", "from jax.numpy", True),
        (
            "origin_main",
            "if RATE:",
            "try:\n    import nor_there\nexcept ImportError:\n    pass\nif RATE:",
            True,
        ),
        ("origin_main", "import json as fast", "import simplejson as fast", False),
        ("origin_main", "    never_there = None", "    print()", False),
        ("origin_main", "RATE = 0.5", "RATE = 0.25", False),
        ("origin_main", "step(x) * RATE", "RATE * step(x)", False),
        ("origin_main", "return x * RATE", "return RATE * x", False),
        ("origin_main", 'KIND = "1.5"', "KIND = 1.5", False),
        ("origin_main", "in range(2)", "in range(3)", False),
        ("origin_star", "lambda x: x", "lambda x: -x", False),
        ("origin_helper", "late = 1", "late = 2", False),
        ("origin_helper", "x + 1", "x + 2", False),
        ("origin_effects", "append(1)", "append(2)", False),
        ("origin_lazy", "return 2.0", "return 3.0", False),
        ("origin_made", "2 * x", "3 * x", False),
        ("origin_made", "SHIFT = 0", "SHIFT = 1", False),
        ("origin_main", "extras.fast", "extras.slow", False),
        ("origin_made", "made = None", "made = 1", True),
        ("origin_made", "doubled(0)", "doubled(1)", False),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_a_digest_follows_what_a_definition_uses(
    tmp_path, monkeypatch, module, old, new, same, apart
):
    monkeypatch.syspath_prepend(str(tmp_path))
    if apart:  # what the main module uses lies in another folder of the path
        monkeypatch.syspath_prepend(str(tmp_path / "others"))
        (tmp_path / "others").mkdir()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found, after = [], MODULES | {module: MODULES[module].replace(old, new)}
    assert after != MODULES
    for texts in (MODULES, after):
        for name, text in texts.items():
            folder = tmp_path / "others" if apart and name != "origin_main" else tmp_path
            (folder / f"{name}.py").write_text(text)
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        linecache.checkcache()
        found.append(source_digest("origin_main", "used"))
    assert (found[0] == found[1]) is same and None not in found


def test_a_module_that_cannot_be_read_has_no_digest(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "origin_broken").mkdir()
    (tmp_path / "origin_broken" / "__init__.py").write_text("1 / 0\n")
    (tmp_path / "origin_broken" / "inner.py").write_text("def f():\n    pass\n")
    importlib.invalidate_caches()
    for module in ("origin_broken.inner", "origin_nowhere", "__main__", "math", "json"):
        assert source_digest(module, "f") is None


def test_a_digest_is_of_the_code_that_runs_though_the_file_was_edited(tmp_path, edit):
    task, store = replace(TASK, network="edited_network:net"), Store(tmp_path / "store")
    few, more, again = (CellConfig(task=task, d=d, seeds=(0,)) for d in (2, 4, 8))
    edit(NETWORK)
    assert run_sweep([few], store, progress=False).computed == 1
    (tmp_path / "edited_network.py").write_text(NETWORK.replace("nn.relu", "nn.tanh"))
    assert run_sweep([few, more], store, progress=False).computed == 1  # by the code in memory
    sources = [store.read(cell.name).provenance["code"]["sources"] for cell in (few, more)]
    assert sources[0] == sources[1] != {}
    edit.forget()
    for cells in ([few, more, again], [again]):  # beside cells of this sweep, or of others
        with pytest.raises(InputError, match="edited_network:net: its code was edited since"):
            run_sweep(cells, store, progress=False)


def test_a_table_of_cells_of_several_codes_says_so(tmp_path, edit, caplog):
    task = replace(TASK, network="edited_network:net")
    cells = [CellConfig(task=task, d=d, seeds=(0,)) for d in (2, 4)]
    for cell, text in zip(cells, (NETWORK, NETWORK.replace("relu", "tanh")), strict=True):
        edit(text)
        assert run_sweep([cell], Store(tmp_path / text[60:70]), progress=False).computed == 1
        written = Store(tmp_path / text[60:70]).path(cell.name)
        (tmp_path / "both").mkdir(exist_ok=True)
        (tmp_path / "both" / written.name).write_bytes(written.read_bytes())
        written.unlink()
    write_table(Store(tmp_path / "both"), tmp_path / "both.parquet")
    assert "edited_network:net was edited: its cells are of 2 versions of it." in caplog.text
    origin = json.loads((tmp_path / "both.provenance.json").read_text())
    assert len(origin["sources"]["edited_network:net"]) == 2


def test_a_network_is_known_by_its_program_whatever_its_code_reads(tmp_path, edit):
    text = NETWORK.replace("nn.relu(", "getattr(nn, Path(FILE).read_text())(")
    file, store = tmp_path / "activation", Store(tmp_path / "store")
    task = replace(TASK, network="edited_network:net")
    cells = [CellConfig(task=task, d=d, seeds=(0,)) for d in (2, 4)]
    for said in ("relu", "tanh"):
        file.write_text(said)
        edit(f"from pathlib import Path\nFILE = {str(file)!r}\n{text}")
        if said == "relu":
            assert run_sweep(cells[:1], store, progress=False).computed == 1
    for wanted in (cells[:1], cells[1:]):
        with pytest.raises(InputError, match="it computed otherwise, as by what its code reads"):
            run_sweep(wanted, store, progress=False)


def test_the_program_is_the_same_in_every_process(tmp_path):
    code = (
        "from dofbook.experiments.identity import _program; from dofbook.training import make_task,"
        " TaskConfig; t = make_task(TaskConfig('digits', 'conv2'));"
        "print(_program(t.network, t.data.input_shape, t.data.x_train.dtype))"
    )
    found = {
        subprocess.check_output(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": n}
        )
        for n in "12"
    }
    assert len(found) == 1


DATA = """
import numpy as np
from dofbook.datasets import Dataset

def few(folder):
    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    return Dataset.from_arrays(x * SCALE, y, x, y)
"""


def test_data_that_changed_are_not_mixed_with_cells_of_other_dimensions(tmp_path, edit):
    task = replace(TASK, dataset="edited_network:few", train_size=None, test_size=None)
    few, more = (CellConfig(task=task, d=d, seeds=(0,)) for d in (2, 4))
    scale, store = tmp_path / "scale", Store(tmp_path / "store")
    read = f"from pathlib import Path\nSCALE = float(Path({str(scale)!r}).read_text())\n"
    for number in "12":
        scale.write_text(number)
        edit(read + DATA)
        if number == "1":
            assert run_sweep([few], store, progress=False).computed == 1
    with pytest.raises(InputError, match="from other edited_network:few data"):
        run_sweep([more], store, progress=False)

    class Elsewhere:
        """A worker that has other data."""

        def map(self, run, cells):
            for cell in cells:
                rows = run_cell(cell)
                origin = {"dataset": {"fingerprint": "other"}, "environment": {}}
                Store(tmp_path / "away").write(cell, rows, origin)
                yield cell, Outcome(0.0)

    with pytest.raises(InputError, match="from other edited_network:few data"):
        run_sweep([more], Store(tmp_path / "away"), Elsewhere(), progress=False)


def test_a_module_that_is_loaded_anew_is_used_anew(tmp_path, edit):
    edit(NETWORK)
    module = importlib.import_module("edited_network")
    before = make_task(replace(TASK, network="edited_network:net")).network.D
    (tmp_path / "edited_network.py").write_text(NETWORK.replace("Dense(16)", "Dense(64)"))
    importlib.reload(module)
    assert (before, make_task(replace(TASK, network="edited_network:net")).network.D) == (
        1210,
        4810,
    )


def test_the_code_of_a_script_is_digested_and_that_of_a_notebook_is_not_stored(tmp_path):
    script = tmp_path / "script.py"
    text = (
        "from flax import linen as nn\nimport dofbook as dof\n\n"
        "def net(classes):\n"
        "    return nn.Sequential([lambda x: x.reshape(len(x), -1), nn.Dense(classes)])\n\n"
        "if __name__ == '__main__':\n"
        "    task = dof.Task('__main__:net', 'digits', epochs=1)\n"
        "    dof.sweep(task, dof.RandomAffine(), dims=[D], seeds=1, store='store')\n"
    )
    edited = text.replace("x.reshape", "x.T.T.reshape")
    for source, code, said in (
        (text.replace("[D]", "[2]"), 0, ""),
        (edited.replace("[D]", "[4]"), 1, "another __main__:net: its code was edited since"),
    ):
        script.write_text(source)
        done = subprocess.run(
            [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == code and said in done.stderr
    done = subprocess.run(
        [sys.executable, "-c", text.replace("[D]", "[2]").replace("'store'", "'other'")],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert "__main__:net cannot be stored: the source of its code cannot be read" in done.stderr
