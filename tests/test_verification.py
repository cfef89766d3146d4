"""Repeated runs: what counts as identical, close and different, and which runs are repeated."""

import numpy as np
import pandas as pd
import pytest
from run_rows import complete

from dofbook.errors import InputError
from dofbook.experiments.config import CellConfig, TaskConfig
from dofbook.experiments.executors import compute, machine_kind
from dofbook.experiments.store import Store, StoredCell
from dofbook.experiments.verification import compare, draw_sample, repeats_bits, verify
from dofbook.provenance import environment
from dofbook.training.batched import Batching
from dofbook.training.objectives import classification

METRICS = classification.metric_names

CELL = CellConfig(task=TaskConfig(network="mlp", train_size=100, test_size=50, epochs=1), d=4)


def rows(**changes) -> pd.DataFrame:
    usual = {m: [0.9, 0.5] if m.endswith("loss") else [0.1, 0.5] for m in METRICS}
    frame = pd.DataFrame(usual | {"step": [0, 7]}).assign(**changes)
    for metric in METRICS:
        best = np.fmin if metric.endswith("loss") else np.fmax
        frame[f"best_{metric}"] = best.accumulate(frame[metric].to_numpy())
    return frame


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "identical"),
        ({"train_loss": [0.9, np.nextafter(0.5, 1)]}, "close"),
        ({"train_loss": [0.9, 0.55]}, "close"),
        ({"train_loss": [0.9, 0.57]}, "different"),
        ({"test_accuracy": [0.1, 0.515]}, "close"),
        ({"test_accuracy": [0.1, 0.47]}, "different"),
        ({"test_loss": [0.9, np.nan]}, "different"),
        ({"test_loss": [0.9, np.inf]}, "different"),
        ({"step": [0, 8]}, "different"),
        ({"train_loss": [1.2, 0.5]}, "close"),  # on the way, not in the end
    ],
)
def test_states(changes, state):
    assert compare(rows(), rows(**changes))[0] == state
    assert compare(rows(**changes), rows())[0] == state


def test_a_run_that_lacks_a_column_or_says_another_is_different():
    run = pd.DataFrame({"cell": "a", "D": 10, "step": [0, 1], "test_loss": [2.0, 1.0]})
    assert compare(run, run.assign(cell="b"))[0] == "identical"
    assert compare(run.assign(D=1), run)[0] == "different"
    for name in ("D", "test_loss"):
        assert compare(run.drop(columns=name), run)[0] == "different"


def test_runs_that_diverge_alike_are_identical():
    lost = {"train_loss": [0.9, np.nan], "test_loss": [0.9, np.inf]}
    assert compare(rows(**lost), rows(**lost)) == ("identical", 0.0, 0.0)


def test_bits_are_expected_only_where_nothing_differs():
    origin = {"environment": environment(), "machine": machine_kind(), "batching": None}
    alone, together = Batching("sequential"), Batching("batched")
    assert repeats_bits(StoredCell(CELL, None, origin), alone)
    assert not repeats_bits(StoredCell(CELL, None, origin), together)
    for change in (
        {"machine": {**machine_kind(), "cores": 1000}},
        {"machine": None},
        {"batching": {"batched": True}},
        {"environment": {**environment(), "versions": {"jax": "0.0"}}},
        {"environment": {**environment(), "devices": [{"platform": "gpu", "kind": "x"}]}},
        {"environment": None},
    ):
        assert not repeats_bits(StoredCell(CELL, None, origin | change), alone)


def test_a_sample_is_drawn_without_replacement_and_again_by_its_seed():
    names = [f"{n:016x}" for n in range(50)]
    sample = draw_sample(names, 20, seed=3)
    assert len(set(sample)) == 20 and set(sample) <= set(names)
    assert sample == draw_sample(names, 20, seed=3) != draw_sample(names, 20, seed=4)
    assert sorted(draw_sample(names, 99, seed=0)) == names


def test_one_run_of_a_cell_is_repeated_and_other_data_refused(tmp_path, monkeypatch):
    cell = CellConfig(task=CELL.task, d=4, seeds=(3, 5, 8))

    def make(cell, data_dir=None, batching=None):
        frames = [rows().assign(seed=seed, train_loss=seed / 7) for seed in cell.seeds]
        return complete(cell, pd.concat(frames, ignore_index=True))

    store, asked = Store(tmp_path), []
    compute(cell, store, run_cell=make)

    def again(cell, data_dir, batching):
        asked.append(cell.seeds)
        return make(cell)

    (check,) = verify(store, [cell.name], run_cell=again)
    assert check.state == "identical" and check.passed and check.bits_expected
    assert asked == [(check.seed,)] and check.seed in cell.seeds
    found = store.read(cell.name)
    origin = {**found.provenance, "dataset": {"source": "elsewhere", "fingerprint": "0"}}
    store.write(cell, found.table.to_pandas(), origin)
    with pytest.raises(InputError, match="computed from other digits data"):
        list(verify(store, [cell.name], run_cell=again))


def test_small_losses_are_compared_with_a_floor():
    small = rows(train_loss=[0.9, 0.002])
    assert compare(small, rows(train_loss=[0.9, 0.004]))[0] == "close"
    assert compare(small, rows(train_loss=[0.9, 0.02]))[0] == "different"
