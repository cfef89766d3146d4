"""Networks, data sets and objectives of one's own, named as module:function."""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from dofbook import cli, networks
from dofbook.datasets import load
from dofbook.errors import InputError
from dofbook.experiments.config import CellConfig, canonical_json, cell_from_json
from dofbook.references import call, is_reference, own_code, resolve
from dofbook.training import Task, TaskConfig, make_task
from dofbook.training.objectives import objective

EXAMPLES = Path(__file__).parents[1] / "book" / "examples"
MINE = ["--dataset", "patches:load", "--network", "patches:mixer", "--train-size", "200"]
SMALL = [*MINE, "--test-size", "100", "--dims", "2", "--runs", "2", "--epochs", "1"]


@pytest.fixture(autouse=True)
def examples(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))


def test_photo_patches_are_balanced_and_their_sets_do_not_overlap():
    images = load("patches:load")
    assert images.input_shape == (8, 8, 3) and images.num_classes == 2
    assert np.bincount(images.y_train).tolist() == [53 * 64] * 2
    assert np.bincount(images.y_test).tolist() == [53 * 16] * 2


def test_the_network_is_the_function_s():
    import patches

    flat = networks.paper_network("patches:mixer", (8, 8, 3), 2)
    again = networks.flatten(patches.Mixer(2), jnp.zeros((1, 8, 8, 3)))
    w = np.random.default_rng(0).normal(size=flat.D).astype(np.float32)
    x = np.random.default_rng(1).normal(size=(3, 8, 8, 3)).astype(np.float32)
    assert flat.D == again.D
    np.testing.assert_array_equal(flat.apply(w, x), again.apply(w, x))


def test_a_configuration_is_read_without_the_module():
    task = TaskConfig(dataset="nowhere_to_be_found:load", network="nowhere_to_be_found:net")
    cell = CellConfig(task=task)
    assert cell_from_json(canonical_json(cell)) == cell
    assert "nowhere_to_be_found" not in sys.modules


def test_a_sweep_of_one_s_own_runs_resumes_and_is_verified(tmp_path, capsys):
    store, table = tmp_path / "store", tmp_path / "mine.parquet"
    wanted = ["sweep", *SMALL, "--no-baseline", "--store", str(store), "--table", str(table)]
    assert cli.main(wanted) == 0
    assert "1 computed, 0 failed" in capsys.readouterr().out
    rows = pd.read_parquet(table)
    assert set(rows["network"]) == {"patches:mixer"} and set(rows["dataset"]) == {"patches:load"}
    assert np.isfinite(rows["train_loss"]).all() and len(rows) == 2 * 2
    assert cli.main(wanted) == 0
    assert "1 were stored, 0 computed" in capsys.readouterr().out
    assert cli.main(["verify", "--store", str(store), "--sample", "1"]) == 0


def test_a_network_that_changes_the_folder_leaves_the_store_in_its_place(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "moving.py").write_text(
        "import os\nfrom flax import linen as nn\n\nos.chdir('/')\n\n"
        "def net(classes):\n    os.chdir('/')\n"
        "    return nn.Sequential([lambda x: x.reshape(len(x), -1), nn.Dense(classes)])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    line = ["sweep", "--network", "moving:net", "--epochs", "1", "--train-size", "100"]
    line += ["--test-size", "50", "--dims", "2", "--runs", "1", "--no-baseline", "--store", "here"]
    assert cli.main(line) == 0
    assert len(list((tmp_path / "here").glob("*.parquet"))) == 1


def test_data_by_name_and_in_hand_are_trained_for_as_many_steps(tmp_path, monkeypatch):
    (tmp_path / "few.py").write_text(
        "import numpy as np\nfrom dofbook.datasets import Dataset\n\n"
        "def load(folder):\n    x, y = np.eye(40), np.arange(40) % 2\n"
        "    return Dataset.from_arrays(x, y, x, y, name='few')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    named, held = Task("mlp", "few:load"), Task("mlp", load("few:load"))
    assert named.steps == held.steps == 480 == named.config.epochs
    assert TaskConfig("few:load", "mlp").epochs == 3
    assert make_task(TaskConfig("few:load", "mlp")).steps == 3
    assert repr(held) == "Task('mlp', 'few', 'classification', epochs=480, batch_size=128)"


def test_the_layers_of_one_s_own_network_are_known():
    layers = networks.paper_network("patches:mixer", (8, 8, 3), 2).layers
    assert {layer.name.split("/")[0] for layer in layers} >= {"Dense_0", "Dense_3", "LayerNorm_1"}


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--network", "mine", "allowed: conv2, conv3, resnet20, mlp, lenet, or module:function"),
        ("--network", "nowhere_to_be_found:net", "No module named 'nowhere_to_be_found'"),
        ("--network", "patches:missing", "has no attribute 'missing'"),
        ("--network", "patches:SIDE", "is 8; it must be a function"),
        ("--network", "patches:load", "network is Dataset; give a module of flax.linen, flax.nnx"),
        ("--dataset", "patches:mixer", "gave Mixer; it must give a dofbook Dataset"),
        ("--dataset", "patches:", "allowed: digits"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_written(tmp_path, capsys, option, value, said):
    store = tmp_path / "store"
    given = [*SMALL, "--store", str(store)]
    given[given.index(option) + 1] = value
    assert cli.main(["sweep", *given]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
    assert not store.exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a:b", True), ("a.b_1:c", True), ("conv2", False), ("a:b:c", False), ("a:", False)],
)
def test_references_are_told_from_names(name, expected):
    assert is_reference(name) is expected


MODULE = """
import sys
from dataclasses import dataclass
import jax.numpy as jnp
from dofbook.training.objectives import Objective

def fails(*given):
    return given[3]

def leaves(*given):
    sys.exit(3)

def interrupted(*given):
    raise KeyboardInterrupt

def full(*given):
    raise MemoryError

class Mute(Exception):
    def __str__(self):
        raise ValueError

def mute(*given):
    raise Mute

def odd(*given):
    raise type("Mute", (BaseException,), {})

def tokens(num_classes):
    init = lambda key: {"table": jnp.ones((16, 4)), "out": jnp.ones((4, 16))}
    return init, lambda tree, x: tree["table"][x] @ tree["out"]

def hinge():
    return Objective("hinge", lambda out, y: jnp.maximum(0, 1 - y * out[:, 0]))

def number():
    return 7
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Put a module on the path and give its name, new in every test."""
    name = f"mine_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_what_one_s_own_code_raises_is_one_sentence_with_its_last_line(mine):
    with pytest.raises(InputError) as caught:
        call(f"{mine}:fails", 1, 2)
    said = str(caught.value)
    assert said.startswith(
        f"{mine}:fails raised IndexError: tuple index out of range (in fails at "
    )
    assert said.endswith(f"{mine}.py, line 8).")
    assert isinstance(caught.value.__cause__, IndexError)
    with pytest.raises(InputError, match=r"leaves called sys.exit\(3\) \(in leaves at .*line 11"):
        call(f"{mine}:leaves")
    with pytest.raises(KeyboardInterrupt):
        call(f"{mine}:interrupted")
    with pytest.raises(InputError, match=r"full raised MemoryError \(in full at .*line 17"):
        call(f"{mine}:full")
    for name in ("mute", "odd"):  # neither its words nor its class are an exception's
        with pytest.raises(InputError, match=rf"{name} raised Mute \(in {name} at "):
            call(f"{mine}:{name}")
    with pytest.raises(InputError, match=r"number raised TypeError: .* 1 was given\.$"):
        call(f"{mine}:number", 1)
    assert call(f"{mine}:number") == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:\n", r"raised SyntaxError: .* \(at .*broken.py, line 1\)"),
        ("x = 1\n1 / 0\n", r"raised ZeroDivisionError: .* \(in <module> at .*broken.py, line 2\)"),
        ("import sys\nsys.exit(0)\n", r"called sys.exit\(0\) \(in <module> at .*broken.py"),
        ("import nowhere_to_be_found\n", "cannot be imported .No module named 'nowhere_to_be_"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named(tmp_path, monkeypatch, text, said):
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    with pytest.raises(InputError, match=f"^broken.* {said}") as caught:
        resolve("broken:f")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [3, None, "", "conv2", "a:b:c", []])
def test_what_is_no_reference_is_refused(name):
    with pytest.raises(InputError, match="is no reference; it must be module:function"):
        resolve(name)


def test_other_errors_pass_as_asked():
    with pytest.raises(KeyError), own_code("it", passing=(KeyError,)):
        raise KeyError
    with pytest.raises(InputError, match="^already a sentence$"), own_code("it"):
        raise InputError("already a sentence")
    with pytest.raises(InputError, match=r"it raised RuntimeError: odd \(.*\); leave it\.$"):  # noqa: SIM117
        with own_code("it", hints=(("odd", "leave it"), ("odd", "or not"))):
            raise RuntimeError("odd\nmore")


def test_a_network_named_by_reference_may_be_anything_that_is_flattened(mine):
    network = networks.paper_network(f"{mine}:tokens", (5,), None, dtype="int32")
    assert network.D == 2 * 64 and network.name == f"{mine}:tokens"
    assert network.apply(np.ones(128), np.zeros((3, 5), np.int32)).shape == (3, 5, 16)
    with pytest.raises(InputError, match="tokens raised TypeError: Indexer must have integer"):
        networks.paper_network(f"{mine}:tokens", (5,), None)
    with pytest.raises(InputError, match=f"{mine}:fails raised IndexError"):
        networks.paper_network(f"{mine}:fails", (5,), 2)
    with pytest.raises(InputError, match=f"{mine}:fails raised IndexError"):
        load(f"{mine}:fails")


def test_an_objective_named_by_reference(mine):
    assert objective(f"{mine}:hinge").metric_names == ("train_loss", "test_loss")
    with pytest.raises(InputError, match=f"{mine}:number gave int; it must give an Objective"):
        objective(f"{mine}:number")
