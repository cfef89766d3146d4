"""What a task is trained as: the network itself, or its linearization, descended or solved."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from dofbook.cache import Cache
from dofbook.keys import Role, run_key
from dofbook.landscape.linearization import carry, carrying, jacobian_products
from dofbook.subspaces import AffineSubspace
from dofbook.training import Task, burn_in, evaluate

_WEIGHTS = Cache(2**28)
_FEATURES = Cache(2**31)
_AT_ONCE = 16  # directions multiplied by the Jacobian: one program serves every d


@dataclass(frozen=True, eq=False)
class Model:
    """Say what is trained in place of a task.

    ``task`` is what the trainer sees: for a linearized network, its expansion around a centre that
    the weight vector carries along. ``place`` moves a subspace of a seed there; ``minimum``, None
    to descend, solves for the minimum in a moved subspace, a history of one row.

    >>> trained_as(Task("mlp", "digits")).minimum is None
    True
    """

    task: Task
    place: Callable[[AffineSubspace, int], AffineSubspace]
    minimum: Callable[[AffineSubspace, int], pd.DataFrame] | None = None


def weights_after(task: Task, seed: int, steps: int, order: int = 0) -> jax.Array:
    """Train in the full space from w0 by the task's burn-in optimizer, to w_t, (D,); it is kept.

    Paths of another ``order`` see the batches in another order.

    >>> task = Task("mlp", "digits")
    >>> weights_after(task, 0, 3).shape
    (2410,)
    """

    def compute():
        key = run_key(seed, Role.BURN_IN_BATCHES, *([order] if order else []))
        return burn_in(task, task.initialization(seed), key, steps)

    source = (task.network, task.objective, task.data)
    settings = (seed, steps, order, task.batch_size, task.burn_in_optimizer)
    return _WEIGHTS.get(source, settings, compute, lambda w: w.nbytes)


@lru_cache(maxsize=4)
def trained_as(task: Task) -> Model:
    """Choose what is trained in place of a task: itself, unless it says ``linearized_at``.

    >>> from dofbook.training import TaskConfig, make_task
    >>> trained_as(make_task(TaskConfig("digits", "mlp", linearized_at=9))).task.network.D
    4820
    """
    config = task.config
    if config is None or (steps := config.linearized_at) is None:
        return Model(task, lambda subspace, seed: subspace)
    network = task.network.with_derivatives("linear")
    linear = replace(task, network=carrying(network))

    def place(subspace, seed):
        return carry(subspace, weights_after(task, seed, steps))

    if config.solver == "descent":
        return Model(linear, place)

    def minimum(subspace, seed):
        features = _FEATURES.get((task,), seed, _Features, lambda found: found.nbytes)
        changes = features.along(network, subspace, task.arrays.x_train)
        start = jax.jit(linear.network.apply)(subspace.offset, linear.arrays.x_train)
        labels = np.asarray(linear.arrays.y_train)
        from dofbook.landscape import convex

        found = convex.minimize(convex.LinearLogits(np.asarray(start, float), changes, labels))
        metrics = evaluate(linear, subspace.point(jnp.asarray(found.theta, jnp.float32)))
        values = np.asarray(metrics, np.float64)
        named = dict(zip(linear.objective.metric_names, values, strict=True))
        named["train_loss"] = found.loss  # in double precision
        row = {"step": 0, "epoch": 0.0, **named, "gradient_norm": found.gradient_norm}
        return pd.DataFrame([row | {"gap": found.gap, "newton_steps": found.steps}])

    return Model(linear, place, minimum)


class _Features:
    """Keep B = J A of a seed; larger nested subspaces add columns, others start anew."""

    def __init__(self):
        self._rows = np.empty((0, 0))
        self._columns: list[np.ndarray] = []

    @property
    def nbytes(self) -> int:
        return sum(columns.nbytes for columns in self._columns) + self._rows.nbytes

    def along(self, network, subspace: AffineSubspace, x: jax.Array) -> np.ndarray:
        """Give B, (N, classes, d) float64, for a subspace that carries its centre."""
        carried: Any = subspace.directions
        directions, D = carried.directions, network.D
        rows = getattr(directions, "rows", None)
        rows = jax.vmap(directions.lift)(jnp.eye(directions.d)) if rows is None else rows
        rows, known = np.asarray(rows), self._rows
        shared = min(len(known), len(rows))
        if not np.array_equal(known[:shared], rows[:shared]):
            self._columns, known = [], np.empty((0, D))
        done = sum(columns.shape[-1] for columns in self._columns)
        for start in range(done, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            block = np.zeros((_AT_ONCE, D), np.float32)
            block[: len(part)] = part
            products = jacobian_products(network, subspace.offset[D:], jnp.asarray(block), x)
            self._columns.append(products[..., : len(part)])
        self._rows = rows if len(rows) > len(known) else known
        return np.concatenate(self._columns, axis=-1)[..., : len(rows)]
