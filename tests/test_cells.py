"""Cells: tidy rows that depend on the cell alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dofbook.errors import InputError
from dofbook.experiments.cell import run_cell
from dofbook.experiments.config import CellConfig, SweepConfig, TaskConfig
from dofbook.methods import LotterySubspace, LotteryTicket, RandomAffine, RandomPruning
from dofbook.subspaces import AxisAligned, Dense
from dofbook.training import OptimizerConfig, make_task
from dofbook.training.config import follow_convention
from dofbook.training.objectives import classification

METRICS = classification.metric_names
TASK = TaskConfig(network="mlp", train_size=300, test_size=100, epochs=2, checkpoints_per_epoch=2)


def test_rows_are_tidy_and_best_so_far_is_monotone():
    rows = run_cell(CellConfig(task=TASK, d=8, seeds=(0, 3)))
    assert len(rows) == 2 * (1 + 2 * 2)
    assert not rows.duplicated(["seed", "step"]).any()
    assert set(rows.train_images) == {300}
    assert set(rows.test_images) == {100}
    assert (rows.d == 8).all()
    assert (rows.D == 2410).all()
    for metric in METRICS:
        fold = np.minimum if metric.endswith("loss") else np.maximum
        for _, run in rows.groupby("seed"):
            np.testing.assert_array_equal(
                run[f"best_{metric}"], fold.accumulate(run[metric].to_numpy())
            )


def test_a_seed_gives_the_same_result_alone_and_beside_others():
    together = run_cell(CellConfig(task=TASK, d=8, method=RandomAffine(3), seeds=(0, 1, 2)))
    alone = run_cell(CellConfig(task=TASK, d=8, method=RandomAffine(3), seeds=(1,)))
    columns = ["seed", "step", *METRICS]
    kept = together.loc[together.seed == 1, columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, alone[columns], check_exact=True)


def test_theta_zero_does_not_depend_on_d_but_on_t():
    first = {
        (d, t): run_cell(CellConfig(task=TASK, d=d, method=RandomAffine(t))).train_loss[0]
        for d, t in ((2, 0), (9, 0), (2, 4))
    }
    assert first[2, 0] == first[9, 0]
    assert first[2, 4] < first[2, 0]


def test_one_more_burn_in_step_as_in_the_released_code():
    released = replace(TASK, extra_burn_in_step=1)
    a = run_cell(CellConfig(task=released, d=4, method=RandomAffine(4))).train_loss[0]
    b = run_cell(CellConfig(task=TASK, d=4, method=RandomAffine(5))).train_loss[0]
    assert a == b
    a, b = (run_cell(CellConfig(task=t, d=4)).train_loss[0] for t in (released, TASK))
    assert a == b


def test_conventions_differ_where_the_text_and_the_code_differ():
    code = follow_convention(TaskConfig(), "released_code")
    assert code.pooling == "average"
    assert code.optimizer.bias_correction == "constant"
    assert code.extra_burn_in_step == 1
    assert follow_convention(code, "paper") == TaskConfig()


def test_more_dimensions_than_parameters_are_refused():
    with pytest.raises(InputError, match="d is 2411, but mlp on digits has only D = 2410"):
        run_cell(CellConfig(task=TASK, d=2411))


def test_a_sweep_lists_baseline_and_grid_once_each():
    ways = (RandomAffine(0), RandomAffine(4))
    sweep = SweepConfig(task=TASK, dims=(4, 2), methods=ways, runs=3, first_seed=5)
    cells = sweep.cells()
    assert len({c.name for c in cells}) == len(cells) == 2 + 4
    assert [(c.d, c.method.t) for c in cells[2:]] == [(2, 0), (2, 4), (4, 0), (4, 4)]
    assert all(c.seeds == (5, 6, 7) for c in cells)
    assert {c.task.optimizer.learning_rate for c in cells[:2]} == {5e-2, 1e-2}


def test_a_cells_name_changes_with_everything_that_changes_its_result():
    base = CellConfig(task=TASK, d=8)
    others = [
        replace(base, d=9),
        replace(base, seeds=(1,)),
        replace(base, method=RandomAffine(nested=True)),
        replace(base, method=RandomAffine(1)),
        replace(base, task=replace(TASK, pooling="average")),
        replace(base, task=replace(TASK, optimizer=OptimizerConfig(eps=1e-8))),
    ]
    assert len({c.name for c in [base, *others]}) == 1 + len(others)
    assert base.name == CellConfig(task=TASK, d=8).name


def test_whole_and_decimal_numbers_name_the_same_cell():
    names = {
        CellConfig(task=replace(TASK, optimizer=OptimizerConfig(learning_rate=rate))).name
        for rate in (1, 1.0)
    }
    assert len(names) == 1


# --- cells of every method of Table 1: what they train in and what their rows say

FOUR = replace(TASK, epochs=4, checkpoints_per_epoch=1)
WAYS = {
    "burn-in": (RandomAffine(4), 3),
    "fastfood": (RandomAffine(4, directions="fastfood"), 3),
    "hadamard": (RandomAffine(4, directions="hadamard"), 3),
    "sparse": (RandomAffine(4, directions="sparse"), 3),
    "lottery": (LotterySubspace(4), 2),
    "ticket": (LotteryTicket(4), 3),
    "random": (RandomPruning(4), 3),
}


@pytest.mark.parametrize("name", WAYS)
def test_every_method_starts_from_the_same_w_t_and_has_d_directions(name):
    (method, d), task = WAYS[name], make_task(FOUR)
    subspace = method.subspace(task, 1, d)
    assert subspace.d == d
    w_t = RandomAffine(4).offset(task, 1)
    if isinstance(subspace.directions, AxisAligned):
        kept = np.zeros(task.network.D, bool)
        kept[subspace.directions.indices] = True
        np.testing.assert_array_equal(subspace.offset, np.where(kept, w_t, 0))
    else:
        np.testing.assert_array_equal(subspace.offset, w_t)


def test_lottery_subspaces_of_a_seed_are_nested():
    method, task = WAYS["lottery"][0], make_task(FOUR)
    small, large = (method.subspace(task, 1, d) for d in (1, 2))
    assert isinstance(large.directions, Dense)
    np.testing.assert_array_equal(small.directions.rows, large.directions.rows[:1])


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (WAYS["burn-in"][0], ""),
        (WAYS["fastfood"][0], "fastfood"),
        (WAYS["lottery"][0], ""),
        (replace(WAYS["lottery"][0], basis="centred"), "centred"),
        (WAYS["ticket"][0], ""),
        (replace(WAYS["ticket"][0], iterations=5), "iterations 5"),
        (WAYS["random"][0], ""),
    ],
)
def test_variants_have_names(method, words):
    assert method.variant == words


def test_rows_name_the_variant_the_optimizer_and_the_layers_that_collapsed():
    ticket = LotteryTicket(retraining="released_code", pruning_epochs=1)
    rows = run_cell(CellConfig(task=FOUR, method=ticket, d=1))
    assert set(rows.optimizer) == {"momentum"} == {ticket.optimizer(make_task(FOUR)).name}
    assert set(rows.variant) == {"released_code"}
    assert set(rows.pruning_epochs) == {1}
    # One weight of an MLP of two layers is left: at least one of its two kernels kept nothing.
    assert rows.collapsed.str.contains("kernel").all()
    assert "collapsed" not in run_cell(CellConfig(task=FOUR, d=1))
