"""Cells of every method of Table 1: what they train in and what their rows say."""

from dataclasses import replace

import numpy as np
import pytest

from dofbook import methods
from dofbook.experiments.building import build_subspace, subspace_optimizer, variant
from dofbook.experiments.cells import run_cell, task_data, task_network
from dofbook.experiments.config import CellConfig, TaskConfig
from dofbook.methods.pruning import PruningConfig
from dofbook.methods.trajectories import LotteryConfig
from dofbook.subspaces import AxisAligned, Dense

TASK = TaskConfig(network="mlp", train_size=300, test_size=100, epochs=4)
DATASET, DATA = task_data(TASK)
NETWORK = task_network(TASK, DATASET)
CELLS = {
    "burn-in": CellConfig(TASK, d=3, burn_in_steps=4),
    "fastfood": CellConfig(TASK, d=3, burn_in_steps=4, directions="fastfood"),
    "hadamard": CellConfig(TASK, d=3, burn_in_steps=4, directions="hadamard"),
    "sparse": CellConfig(TASK, d=3, burn_in_steps=4, directions="sparse"),
    "lottery": CellConfig(TASK, method="lottery_subspace", d=2, burn_in_steps=4),
    "ticket": CellConfig(TASK, method="lottery_ticket", d=3, burn_in_steps=4),
    "random": CellConfig(TASK, method="random_pruning", d=3, burn_in_steps=4),
}


@pytest.mark.parametrize("name", CELLS)
def test_every_method_starts_from_the_same_w_t_and_has_d_directions(name):
    cell = CELLS[name]
    subspace = build_subspace(cell, NETWORK, DATA, seed=1)
    assert subspace.d == cell.d
    w_t = methods.offset(NETWORK, DATA, 1, 4, TASK.batch_size, TASK.burn_in_optimizer)
    if isinstance(subspace.directions, AxisAligned):
        kept = np.zeros(NETWORK.D, bool)
        kept[subspace.directions.indices] = True
        np.testing.assert_array_equal(subspace.offset, np.where(kept, w_t, 0))
    else:
        np.testing.assert_array_equal(subspace.offset, w_t)


def test_lottery_subspaces_of_a_seed_are_nested():
    cell = CELLS["lottery"]
    small, large = (build_subspace(replace(cell, d=d), NETWORK, DATA, 1) for d in (1, 2))
    assert isinstance(large.directions, Dense)
    np.testing.assert_array_equal(small.directions.rows, large.directions.rows[:1])


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (CELLS["burn-in"], ""),
        (CELLS["fastfood"], "fastfood"),
        (CELLS["lottery"], ""),
        (replace(CELLS["lottery"], lottery=LotteryConfig(basis="centred")), "centred"),
        (CELLS["ticket"], ""),
        (replace(CELLS["ticket"], pruning=PruningConfig(iterations=5)), "iterations 5"),
        (CELLS["random"], ""),
    ],
)
def test_variants_have_names(cell, words):
    assert variant(cell) == words


def test_rows_name_the_variant_the_optimizer_and_the_layers_that_collapsed():
    pruning = PruningConfig(schedule="released_code", training_epochs=1)
    cell = CellConfig(TASK, method="lottery_ticket", d=1, pruning=pruning)
    rows = run_cell(cell)
    assert set(rows.optimizer) == {"momentum"} == {subspace_optimizer(cell).name}
    assert set(rows.variant) == {"released_code"}
    assert set(rows.pruning_epochs) == {1}
    # One weight of an MLP of two layers is left: at least one of its two kernels kept nothing.
    assert rows.collapsed.str.contains("kernel").all()
    assert "collapsed" not in run_cell(CellConfig(TASK, d=1))
