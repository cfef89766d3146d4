"""Networks and data sets of one's own, named as module:function."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dofbook import cli, networks
from dofbook import references as own
from dofbook.datasets import load
from dofbook.experiments.config import CellConfig, TaskConfig, canonical_json, cell_from_json
from dofbook.methods.pruning import named_layers

EXAMPLES = Path(__file__).parents[1] / "book" / "examples"
MINE = ["--dataset", "patches:load", "--network", "patches:mixer", "--train-size", "200"]
SMALL = [*MINE, "--test-size", "100", "--dims", "2", "--runs", "2", "--epochs", "1"]


@pytest.fixture(autouse=True)
def examples(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))


def test_photo_patches_are_balanced_and_their_sets_do_not_overlap():
    images = load("patches:load")
    assert images.image_shape == (8, 8, 3) and images.num_classes == 2
    assert np.bincount(images.y_train).tolist() == [53 * 64] * 2
    assert np.bincount(images.y_test).tolist() == [53 * 16] * 2


def test_the_network_is_the_function_s():
    import patches

    flat = networks.flat_network("patches:mixer", (8, 8, 3), 2)
    again = networks.flatten(patches.Mixer(2), (8, 8, 3))
    w = np.random.default_rng(0).normal(size=flat.D).astype(np.float32)
    x = np.random.default_rng(1).normal(size=(3, 8, 8, 3)).astype(np.float32)
    assert flat.D == again.D
    np.testing.assert_array_equal(flat.apply(w, x), again.apply(w, x))


def test_a_configuration_is_read_without_the_module():
    task = TaskConfig(dataset="nowhere_to_be_found:load", network="nowhere_to_be_found:net")
    cell = CellConfig(task)
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


def test_lottery_tickets_know_the_layers_of_one_s_own_network():
    flat = networks.flat_network("patches:mixer", (8, 8, 3), 2)
    layers = named_layers("patches:mixer", flat, (8, 8, 3))
    assert layers[-1].stop == flat.D
    assert {layer.name.split("/")[0] for layer in layers} >= {"Dense_0", "Dense_5", "LayerNorm_3"}


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--network", "mine", "allowed: conv2, conv3, resnet20, mlp, lenet, module:function"),
        ("--network", "nowhere_to_be_found:net", "No module named 'nowhere_to_be_found'"),
        ("--network", "patches:missing", "has no attribute 'missing'"),
        ("--network", "patches:SIDE", "is 8; it must be a function"),
        ("--network", "patches:load", "gave Dataset; it must give a flax.linen.Module"),
        ("--dataset", "patches:mixer", "gave Mixer; it must give a dofbook Dataset"),
        ("--dataset", "patches:", "allowed: digits"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_written(tmp_path, capsys, option, value, said):
    store = tmp_path / "store"
    assert cli.main(["sweep", *SMALL, option, value, "--store", str(store)]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
    assert not store.exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a:b", True), ("a.b_1:c", True), ("conv2", False), ("a:b:c", False), ("a:", False)],
)
def test_references_are_told_from_names(name, expected):
    assert own.is_reference(name) is expected
