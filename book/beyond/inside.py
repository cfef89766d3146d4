"""Training inside a subspace for the experiments beyond the paper, measured only where they ask."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from dofbook import subspaces, training
from dofbook.keys import Role, run_key
from dofbook.subspaces import AffineSubspace, Directions
from dofbook.success.bisection import Search
from dofbook.training import Task
from dofbook.training.loop import (
    batches,
    compiled_descent,
    compiled_evaluation,
    epoch_order,
    initial_state,
)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Used:
    """Hold ``directions`` of which those are used where ``mask`` (d,) is 1, the others 0.

    The others' coordinates stay 0, so that one compiled program trains with any number of them.

    >>> Used(subspaces.Dense(jnp.eye(2)), jnp.array([1.0, 0.0])).lift(jnp.array([3.0, 4.0]))
    Array([3., 0.], dtype=float32)
    """

    directions: Directions
    mask: jax.Array

    @property
    def d(self) -> int:
        return self.directions.d

    def lift(self, theta: jax.Array) -> jax.Array:
        return self.directions.lift(self.mask * theta)

    def project(self, g: jax.Array) -> jax.Array:
        return self.mask * self.directions.project(g)


point = jax.jit(AffineSubspace.point)
"""Map theta (d,) to w (D,), as one compiled program."""


def first_directions(task: Task, seed: int, d: int) -> AffineSubspace:
    """Lay w0 + the first d of D nested Hadamard directions; theta is (D,), of which d are used.

    It is ``RandomAffine(directions="hadamard", nested=True)``, compiled once for all d.
    """
    D = task.network.D
    drawn = subspaces.hadamard(run_key(seed, Role.DIRECTIONS), D, D)
    mask = (jnp.arange(D) < d).astype(jnp.float32)
    return AffineSubspace(task.initialization(seed), Used(drawn, mask))


def steps(task: Task, seed: int) -> Iterator[jax.Array]:
    """Give the batches of a run one by one, indices (1, batch), in the order of ``dof.train``."""
    for epoch in range(task.epochs):
        order = epoch_order(training.batches_key(seed), epoch, len(task.data.y_train))
        for part in batches(order, 0, task.steps_per_epoch, task.batch_size):
            yield from jnp.split(part, len(part))


def epochs(task: Task, subspace: AffineSubspace, seed: int) -> Iterator[jax.Array]:
    """Train as ``dof.train`` does, without measuring: theta (d,) after every epoch.

    >>> import dofbook as dof
    >>> task = dof.Task("mlp", "digits", epochs=2)
    >>> len([*epochs(task, dof.RandomAffine().subspace(task, 0, 4), 0)])
    2
    """
    descend = compiled_descent(task.network, task.objective, task.optimizer)
    x, y, key = task.arrays.x_train, task.arrays.y_train, training.batches_key(seed)
    state = initial_state(subspace.d, task.optimizer)
    for epoch in range(task.epochs):
        order = epoch_order(key, epoch, len(y))
        for part in batches(order, 0, task.steps_per_epoch, task.batch_size):
            state = descend(subspace, state, x, y, part)
        yield state.theta


def train_to_end(task: Task, subspace: AffineSubspace, seed: int) -> jax.Array:
    """Give theta (d,) after the last epoch."""
    *_, theta = epochs(task, subspace, seed)
    return theta


def measured(task: Task, w: jax.Array, part: str) -> dict[str, float]:
    """Measure w (D,) on one whole split, "train" or "test": ``<part>_loss`` and the metrics."""
    x, y = (getattr(task.arrays, f"{name}_{part}") for name in "xy")
    values = compiled_evaluation(task.network, task.objective)(w, x, y)
    names = [name for name in task.objective.metric_names if name.startswith(part)]
    return dict(zip(names, map(float, values), strict=True))


def probabilities(task: Task, w: jax.Array, chunk: int = 500) -> jax.Array:
    """Give the class probabilities of the test images, (test images, classes)."""
    apply, x = jax.jit(task.network.apply), task.arrays.x_test
    logits = [apply(w, x[i : i + chunk]) for i in range(0, len(x), chunk)]
    return jax.nn.softmax(jnp.concatenate(logits))


def search(
    value: Callable[[int], float], dims: Sequence[int], level: float
) -> Iterator[tuple[int, float]]:
    """Bisect for the first d of a rising grid at which a value reaches a level.

    Gives every pair of d and value it looked at. The last d is taken to reach it, unseen, until
    nothing else does.

    >>> [d for d, _ in search(lambda d: d, [1, 2, 4, 8, 16], level=3)]
    [4, 1, 2]
    """
    found = Search(len(dims))
    while not found.done:
        middle = (found.failed + found.succeeded) // 2
        reached = value(dims[middle])
        yield dims[middle], reached
        found.tell(middle, reached >= level)
