"""What the chapter on training beyond the paper measures with, against closed forms and loops."""

import jax
import numpy as np
import pytest
from beyond import redrawn

import dofbook as dof
from dofbook import subspaces, training
from dofbook.errors import InputError
from dofbook.experiments.cell import run_cell
from dofbook.keys import Role, run_key
from dofbook.training import TaskConfig

TASK = TaskConfig("digits", "mlp", epochs=1, train_size=300, test_size=100, batch_size=100)


@pytest.fixture(scope="module")
def task():
    return training.make_task(TASK)


# --- directions drawn anew ------------------------------------------------------------------------


def test_directions_never_redrawn_are_one_affine_subspace(task):
    key = jax.random.fold_in(run_key(1, Role.DIRECTIONS, 8), 0)
    space = dof.AffineSubspace(task.initialization(1), subspaces.hadamard(key, 8, task.network.D))
    w = redrawn.train_redrawn(task, 1, 8)
    expected = space.point(dof.train(task, space, 1).theta)
    np.testing.assert_allclose(w, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(w, redrawn.train_redrawn(task, 1, 8, every=task.steps))


def test_directions_drawn_at_every_step_are_others_and_start_adam_anew(task):
    """Adam's first step is the rate times the sign, so that every step has the same length."""
    moved = redrawn.train_redrawn(task, 1, 8, every=1) - task.initialization(1)
    parts = [
        subspaces.hadamard(
            jax.random.fold_in(run_key(1, Role.DIRECTIONS, 8), step), 8, task.network.D
        )
        for step in range(task.steps)
    ]
    basis = np.stack([row for A in parts for row in np.asarray(jax.vmap(A.lift)(np.eye(8)))])
    coordinates, rest, rank, _ = np.linalg.lstsq(basis.T, moved, rcond=None)
    assert rank == 8 * task.steps and rest.max(initial=0) < 1e-6
    np.testing.assert_allclose(np.abs(coordinates), 0.05, rtol=1e-3)


def test_low_rank_directions_change_matrices_by_low_rank_and_nothing_else(task):
    space = redrawn.low_rank(task, 0, rank=2)
    theta = jax.random.normal(jax.random.key(0), (space.d,))
    moved = space.point(theta) - space.offset
    for layer in task.network.layers:
        part = np.asarray(moved[layer.start : layer.stop]).reshape(layer.shape)
        if len(layer.shape) == 1:
            assert not part.any()
        else:
            assert np.linalg.matrix_rank(part.reshape(-1, layer.shape[-1]), tol=1e-4) == 2
    np.testing.assert_allclose((space.directions.rows**2).sum(1), 1, rtol=1e-5)


def test_a_cell_is_the_training_it_describes(task):
    rows = run_cell(redrawn.RedrawnCell(task=TASK, seeds=(1,), d=8, every=1))
    w = redrawn.train_redrawn(task, 1, 8, every=1)
    metrics = dict(zip(task.objective.metric_names, training.evaluate(task, w), strict=True))
    assert rows.train_loss[0] == pytest.approx(float(metrics["train_loss"]), rel=1e-6)
    assert (rows.d[0], rows.every[0], rows.directions[0]) == (8, 1, "redrawn")
    low = run_cell(redrawn.RedrawnCell(task=TASK, rank=1))
    assert (low.d[0], low.directions[0]) == (42, "low rank")
    with pytest.raises(InputError, match="d or rank"):
        redrawn.RedrawnCell(task=TASK, d=8, rank=1)
