"""The one trainer: descends an objective inside any affine subspace, or in the full space.

A run is a pure function of a task, a subspace and a key. It is compiled once for a (network,
objective, optimizer, shapes) and then used for every run. ``training.batched`` trains many runs at
once with the loop of this module.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from jax import lax

from dofbook.keys import Role, run_key
from dofbook.networks import Network
from dofbook.subspaces import AffineSubspace, Identity
from dofbook.training.compiling import fast_jit
from dofbook.training.objectives import Objective
from dofbook.training.optimizers import Optimizer, make_optimizer
from dofbook.training.task import DeviceData, Task, steps_per_epoch


class Trained(NamedTuple):
    """Return value of ``train``.

    Attributes:
        history: Metrics at theta = 0 and at the checkpoints: step, epoch, train_loss, ...
        theta: Final coordinates in the subspace, (d,).
    """

    history: pd.DataFrame
    theta: jax.Array


class State(NamedTuple):
    """Carry of the training loop: coordinates and optimizer state."""

    theta: jax.Array
    opt_state: optax.OptState


@jax.custom_vjp
def _decaying(w: jax.Array, decay: jax.Array) -> jax.Array:
    return w


_decaying.defvjp(
    lambda w, decay: (w, (w, decay)),
    lambda kept, g: (g + kept[1] * kept[0], jnp.zeros_like(kept[1])),
)


def weights(subspace: AffineSubspace, theta: jax.Array, decay: jax.Array | None) -> jax.Array:
    """Map theta to w; with a decay, the gradient of any loss at w gains decay * w.

    That is the penalty sum_k decay_k w_k^2 / 2 on the weights (not on theta), decay (D,).

    >>> from dofbook.subspaces import Identity
    >>> line = AffineSubspace(jnp.ones(2), Identity(2))
    >>> jax.grad(lambda theta: weights(line, theta, jnp.full(2, 0.1)).sum())(jnp.zeros(2))
    Array([1.1, 1.1], dtype=float32)
    """
    w = subspace.point(theta)
    return w if decay is None else _decaying(w, decay)


def batch_gradient(
    network: Network, objective: Objective, subspace: AffineSubspace, theta, x, y, indices, decay
) -> jax.Array:
    """Differentiate the mean loss over a batch, in chunks where the network asks for them.

    Args:
        theta: Coordinates, (d,); the gradient is with respect to them.
        x: Inputs of the whole split.
        y: Targets of the whole split.
        indices: Examples of the batch, (batch,).
        decay: As in ``weights``.
    """

    def mean_loss(w, x, y):
        return objective.loss(network.apply(w, x), y).mean()

    size = network.gradient_chunk
    if size is None or len(indices) % size or len(indices) == size:
        inside = lambda theta: mean_loss(weights(subspace, theta, decay), x[indices], y[indices])  # noqa: E731
        return jax.grad(inside)(theta)
    w, pull_back = jax.vjp(lambda theta: weights(subspace, theta, decay), theta)

    def add(total, part):
        return total + jax.grad(mean_loss)(w, x[part], y[part]), None

    chunks = indices.reshape(-1, size)
    total, _ = lax.scan(add, jnp.zeros_like(w), chunks)
    return pull_back(total / len(chunks))[0]


def descent(network: Network, objective: Objective, optimizer: Optimizer) -> Callable:
    """Write the program (subspace, state, x, y, batches (k, batch), decay) -> state k steps on."""
    transform = make_optimizer(optimizer)

    def descend(subspace, state, x, y, batches, decay=None):
        def step(state, indices):
            gradient = batch_gradient(
                network, objective, subspace, state.theta, x, y, indices, decay
            )
            updates, opt_state = transform.update(gradient, state.opt_state, state.theta)
            return State(optax.apply_updates(state.theta, updates), opt_state), None

        return lax.scan(step, state, batches)[0]

    return descend


def evaluation(network: Network, objective: Objective) -> Callable:
    """Write the program (w (D,), x, y) -> mean loss and metrics of a split, (1 + metrics,).

    It goes through the split in chunks, to bound memory.
    """

    def chunk(w, x, y):
        outputs = network.apply(w, x)
        sums = [objective.loss(outputs, y).sum()]
        return jnp.stack(sums + [f(outputs, y).sum() for _, f in objective.metrics])

    size = network.evaluation_chunk

    def evaluate(w, x, y):
        count = len(x)
        whole = count // size * size
        total = jnp.zeros(1 + len(objective.metrics))
        if whole:
            xs, ys = (a[:whole].reshape(-1, size, *a.shape[1:]) for a in (x, y))
            total += lax.map(lambda b: chunk(w, *b), (xs, ys)).sum(0)
        if whole < count:
            total += chunk(w, x[whole:], y[whole:])
        return total / count

    return evaluate


@lru_cache(maxsize=16)
def compiled_descent(network: Network, objective: Objective, optimizer: Optimizer) -> Callable:
    """Compile ``descent`` once for a network, an objective and an optimizer."""
    return fast_jit(descent(network, objective, optimizer))


@lru_cache(maxsize=16)
def compiled_evaluation(network: Network, objective: Objective) -> Callable:
    """Compile ``evaluation`` once for a network and an objective."""
    return fast_jit(evaluation(network, objective))


def evaluate(task: Task, w: jax.Array) -> jax.Array:
    """Evaluate the weights w (D,) on the whole training and test sets.

    The metrics come in the order of ``task.objective.metric_names``.

    >>> task = Task("mlp", "digits")
    >>> evaluate(task, jnp.zeros(task.network.D))[0].round(4)  # log 10
    Array(2.3026, dtype=float32)
    """
    program, data = compiled_evaluation(task.network, task.objective), task.arrays
    train = program(w, data.x_train, data.y_train)
    return jnp.concatenate([train, program(w, data.x_test, data.y_test)])


@jax.jit
def _point(subspace: AffineSubspace, theta: jax.Array) -> jax.Array:
    return subspace.point(theta)


@partial(jax.jit, static_argnames="count")
def epoch_order(key: jax.Array, epoch: int, count: int) -> jax.Array:
    """Draw the order of the training examples of an epoch, a permutation (count,)."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), count)


def batches(order: jax.Array, start: int, stop: int, batch_size: int) -> Iterator[jax.Array]:
    """Cut steps start to stop of an epoch (..., count) into equal batches, indices (..., k, batch).

    A smaller last one comes apart, as a second array.

    >>> [part.shape for part in batches(jnp.arange(10), 0, 3, 4)]
    [(2, 4), (1, 2)]
    """
    full = min(stop, order.shape[-1] // batch_size)
    if start < full:
        whole = order[..., start * batch_size : full * batch_size]
        yield whole.reshape(*order.shape[:-1], -1, batch_size)
    if stop > full:
        yield order[..., None, full * batch_size :]


def initial_state(d: int, optimizer: Optimizer) -> State:
    """Start at theta = 0 in R^d."""
    theta = jnp.zeros(d)
    return State(theta, make_optimizer(optimizer).init(theta))


class Programs(NamedTuple):
    """What the loop of a training needs, for one run or for a batch of runs.

    Attributes:
        descend: (subspace, state, x, y, batches, decay) -> state, see ``descent``.
        measure: (subspace, theta) -> metrics, (..., metrics).
        order: epoch -> order of the training examples, (..., count).
    """

    descend: Callable
    measure: Callable
    order: Callable


def follow(
    programs: Programs,
    task: Task,
    data: DeviceData,
    subspace: AffineSubspace,
    state: State,
    at_offset: jax.Array,
    decay: jax.Array | None = None,
    epochs: int | None = None,
) -> tuple[np.ndarray, np.ndarray, State]:
    """Make all steps of a training and measure at its checkpoints.

    Args:
        data: The task's arrays, wherever they lie.
        at_offset: Metrics at theta = 0, (..., metrics).
        epochs: The task's by default.

    Returns:
        Updates made at each checkpoint, (checkpoints,); metrics, (checkpoints, ..., metrics); the
        end.
    """
    steps = steps_per_epoch(len(data.x_train), task.batch_size)
    cuts = np.unique(np.linspace(0, steps, task.checkpoints_per_epoch + 1).round().astype(int))
    made, records = [0], [at_offset]
    for epoch in range(task.epochs if epochs is None else epochs):
        order = programs.order(epoch)
        for start, stop in zip(cuts[:-1], cuts[1:], strict=True):
            for part in batches(order, start, stop, task.batch_size):
                state = programs.descend(subspace, state, data.x_train, data.y_train, part, decay)
            made.append(epoch * steps + int(stop))
            records.append(programs.measure(subspace, state.theta))
    return np.asarray(made), np.asarray(jnp.stack(records)), state


def make_history(task: Task, made: np.ndarray, table: np.ndarray) -> pd.DataFrame:
    """Tabulate one run from the updates made at each checkpoint and its metrics there."""
    names = ("step", "epoch", *task.objective.metric_names)
    columns = (made, made / task.steps_per_epoch, *table.T)
    return pd.DataFrame(dict(zip(names, columns, strict=True)))


def fit(
    task: Task,
    subspace: AffineSubspace,
    key: jax.Array,
    *,
    optimizer: Optimizer | None = None,
    epochs: int | None = None,
    decay: jax.Array | None = None,
    at_offset: jax.Array | None = None,
) -> Trained:
    """Minimise the training loss inside an affine subspace with batches in the order of a key.

    Args:
        key: Each epoch is a fresh permutation drawn from it.
        optimizer: Of theta; the task's by default.
        epochs: The task's by default.
        decay: Weight decay of every weight, (D,), see ``weights``.
        at_offset: ``evaluate`` of the offset, if it is known already: it is the same for every d.

    Source: Larsen et al. (2022), sections 2 and A.4.

    >>> task = Task("mlp", "digits", epochs=1)
    >>> space = AffineSubspace(task.initialization(0), Identity(task.network.D))
    >>> fit(task, space, jax.random.key(0), epochs=2).history.step.tolist()
    [0, 12, 24]
    """
    optimizer = task.optimizer if optimizer is None else optimizer
    data, count = task.arrays, len(task.data.y_train)
    programs = Programs(
        descend=compiled_descent(task.network, task.objective, optimizer),
        measure=lambda subspace, theta: evaluate(task, _point(subspace, theta)),
        order=lambda epoch: epoch_order(key, epoch, count),
    )
    at_offset = evaluate(task, subspace.offset) if at_offset is None else at_offset
    state = initial_state(subspace.d, optimizer)
    made, table, state = follow(programs, task, data, subspace, state, at_offset, decay, epochs)
    return Trained(make_history(task, made, table), state.theta)


def batches_key(seed: int) -> jax.Array:
    """Derive the key of the order of the batches inside a subspace, shared by all d of a seed."""
    return run_key(seed, Role.SUBSPACE_BATCHES)


def train(task: Task, subspace: AffineSubspace, seed: int = 0) -> Trained:
    """Minimise the training loss inside an affine subspace, starting at theta = 0.

    Args:
        subspace: Such as ``method.subspace(task, seed, d)`` gives;
            ``AffineSubspace(w0, Identity(D))`` is the full space.
        seed: Of the order of the batches, as in sweeps.

    >>> task = Task("mlp", "digits", epochs=1)
    >>> run = train(task, AffineSubspace(task.initialization(0), Identity(task.network.D)))
    >>> run.history.step.tolist(), run.theta.shape
    ([0, 12], (2410,))
    """
    return fit(task, subspace, batches_key(seed))


def displacements(task: Task, w0: jax.Array, key: jax.Array) -> Iterator[jax.Array]:
    """Train in the full space as ``burn_in`` does, giving w - w0 after every update, for ever."""
    space = AffineSubspace(w0, Identity(task.network.D))
    descend = compiled_descent(task.network, task.objective, task.burn_in_optimizer)
    state, data = initial_state(space.d, task.burn_in_optimizer), task.arrays
    count, epoch = len(task.data.y_train), 0
    while True:
        order = epoch_order(key, epoch, count)
        for part in batches(order, 0, task.steps_per_epoch, task.batch_size):
            # One update a call: two programs serve every spacing and epoch.
            for i in range(len(part)):
                state = descend(space, state, data.x_train, data.y_train, part[i : i + 1], None)
                yield state.theta
        epoch += 1


def burn_in(task: Task, w0: jax.Array, key: jax.Array, steps: int) -> jax.Array:
    """Train in the full space for t steps by the task's burn-in optimizer, w0 -> w_t.

    With the same key, w_4 lies on the trajectory that reaches w_16; 0 steps give w0.

    Source: Larsen et al. (2022), Eq. 2.2.

    >>> task = Task("mlp", "digits")
    >>> w0 = task.initialization(0)
    >>> bool((burn_in(task, w0, jax.random.key(0), 0) == w0).all())
    True
    """
    space = AffineSubspace(w0, Identity(task.network.D))
    descend = compiled_descent(task.network, task.objective, task.burn_in_optimizer)
    state, data = initial_state(space.d, task.burn_in_optimizer), task.arrays
    for epoch in range(-(-steps // task.steps_per_epoch)):
        order = epoch_order(key, epoch, len(task.data.y_train))
        last = min(task.steps_per_epoch, steps - epoch * task.steps_per_epoch)
        for part in batches(order, 0, last, task.batch_size):
            state = descend(space, state, data.x_train, data.y_train, part, None)
    return space.point(state.theta)
