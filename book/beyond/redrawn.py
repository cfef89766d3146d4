"""Directions drawn anew while training: as many at a time, and another span."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from beyond.inside import steps

from dofbook import checks, subspaces, training
from dofbook.errors import InputError
from dofbook.experiments.config import Cell
from dofbook.keys import Role, run_key
from dofbook.subspaces import AffineSubspace, Dense, Directions
from dofbook.training import Task, TaskConfig
from dofbook.training.loop import State, compiled_descent, initial_state


def train_redrawn(task: Task, seed: int, d: int, every: int | None = None) -> jax.Array:
    """Train in d Hadamard directions, drawn anew around w after ``every`` steps; give w (D,).

    The optimizer starts anew with them, for what it remembers belongs to the old coordinates. None
    never draws again: training in one affine subspace.

    >>> task = Task("mlp", "digits", epochs=1)
    >>> train_redrawn(task, seed=0, d=4, every=6).shape
    (2410,)
    """
    descend = compiled_descent(task.network, task.objective, task.optimizer)
    x, y, key = task.arrays.x_train, task.arrays.y_train, run_key(seed, Role.DIRECTIONS, d)
    w, state, drawn = task.initialization(seed), None, None
    for step, batch in enumerate(steps(task, seed)):
        if step == 0 or (every and step % every == 0):
            w = _moved(w, drawn, state)
            drawn = subspaces.hadamard(jax.random.fold_in(key, step), d, task.network.D)
            state = initial_state(d, task.optimizer)
        state = descend(AffineSubspace(w, drawn), state, x, y, batch)
    return _moved(w, drawn, state)


@jax.jit
def _moved(w: jax.Array, drawn: Directions | None, state: State | None) -> jax.Array:
    """Go on from w by what was trained in the directions drawn there, if any."""
    return w if drawn is None else AffineSubspace(w, drawn).point(state.theta)


def low_rank(task: Task, seed: int, rank: int) -> AffineSubspace:
    """Lay w0 + U V in every matrix of the weights, U random and kept, V (rank, columns) trained.

    A kernel of a convolution is a matrix with a column for each filter; biases keep their values.
    U has columns of unit norm, so that all directions have.

    >>> low_rank(Task("mlp", "digits"), seed=0, rank=2).d  # 2 (32 + 10)
    84
    """
    rows, key = [], run_key(seed, Role.DIRECTIONS, rank)
    for number, layer in enumerate(task.network.layers):
        if len(layer.shape) < 2:
            continue
        height, columns = int(np.prod(layer.shape[:-1])), layer.shape[-1]
        u = subspaces.gaussian(jax.random.fold_in(key, number), rank, height).rows
        own = jnp.einsum("rh,cb->rchb", u, jnp.eye(columns)).reshape(rank * columns, -1)
        rows.append(jnp.zeros((len(own), task.network.D)).at[:, layer.start : layer.stop].set(own))
    return AffineSubspace(task.initialization(seed), Dense(jnp.concatenate(rows)))


@dataclass(frozen=True, kw_only=True)
class RedrawnCell(Cell):
    """Describe trainings in ``d`` directions drawn anew after ``every`` steps, None for never.

    With ``rank`` in place of d they are those of `low_rank`.

    >>> RedrawnCell(task=TaskConfig("digits"), d=64, every=1).place()["d"]
    64
    """

    d: int | None = None
    every: int | None = None
    rank: int | None = None

    kind: ClassVar[str] = "beyond.redrawn:RedrawnCell"

    def validate(self):
        checks.integer_fields(self, 1, "d", "every", "rank")
        if (self.d is None) == (self.rank is None):
            raise InputError("give d or rank, and None for the other.")

    def place(self):
        return super().place() | {"d": self.d}

    def parts(self, task, seed):
        """Train: one row of the metrics at the end, with d and what is done with directions.

        ``directions`` is "redrawn" or "low rank"; ``every`` is 0 where they are kept.
        """
        if self.rank is None:
            kept, d, w = "redrawn", self.d, train_redrawn(task, seed, self.d, self.every)
        else:
            space = low_rank(task, seed, self.rank)
            run = training.fit(task, space, training.batches_key(seed))
            kept, d, w = "low rank", space.d, space.point(run.theta)
        about = {"directions": kept, "every": self.every or 0, "D": task.network.D}
        found = map(float, training.evaluate(task, w))
        metrics = dict(zip(task.objective.metric_names, found, strict=True))
        yield about | {"steps": task.steps, "d": [d]} | metrics


EVERY = (None, 100, 10, 1)


def published() -> list[Cell]:
    """List the cells behind `results/beyond_redrawn.parquet`, the ones that are judged first."""
    task, seeds = TaskConfig("mnist", epochs=1), (0, 1, 2)
    grid = [(d, every) for d in (64, 256, 16) for every in EVERY]
    redrawn = [RedrawnCell(task=task, seeds=seeds, d=d, every=every) for d, every in grid]
    ranks = [RedrawnCell(task=task, seeds=seeds, rank=rank) for rank in (1, 4)]
    return [*redrawn, *ranks]
