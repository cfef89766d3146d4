"""The one trainer: descends an objective inside any affine subspace, or in the full space."""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from itertools import islice, pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from jax import lax

from dofbook import checks
from dofbook.keys import Role, run_key
from dofbook.networks import Network
from dofbook.subspaces import AffineSubspace, Identity
from dofbook.training import Objective, Optimizer, Task, make_optimizer
from dofbook.training.compiling import fast_jit
from dofbook.training.config import checkpoints


class Trained(NamedTuple):
    """Hold ``history``, a row per checkpoint: step, epoch, metrics; and the last theta (d,).

    >>> Trained(pd.DataFrame({"step": [0, 12]}), jnp.zeros(4)).theta.shape
    (4,)
    """

    history: pd.DataFrame
    theta: jax.Array


class State(NamedTuple):
    """Hold what training carries on: coordinates and optimizer state.

    >>> initial_state(2, optax.sgd(0.1)).theta
    Array([0., 0.], dtype=float32)
    """

    theta: jax.Array
    opt_state: optax.OptState


def batch_gradient(
    network: Network, objective: Objective, subspace: AffineSubspace, theta, x, y, indices, decay
) -> jax.Array:
    """Differentiate by theta the mean loss of examples ``indices``; ``decay`` as in ``fit``.

    >>> task, space = Task("mlp", "digits"), AffineSubspace(jnp.zeros(2410), Identity(2410))
    >>> given = task.network, task.objective, space, space.offset, *task.arrays[:2], jnp.arange(4)
    >>> jax.eval_shape(lambda: batch_gradient(*given, decay=None)).shape
    (2410,)
    """
    w, pull_back = jax.vjp(subspace.point, theta)

    def gradient(part):
        return jax.grad(lambda w: objective.loss(network.apply(w, x[part]), y[part]).mean())(w)

    size = network.gradient_chunk
    if size is None or len(indices) % size or len(indices) == size:
        found = gradient(indices)
    else:
        chunks = indices.reshape(-1, size)
        add = lambda total, part: (total + gradient(part), None)  # noqa: E731
        found = lax.scan(add, jnp.zeros_like(w), chunks)[0] / len(chunks)
    return pull_back(found if decay is None else found + decay * w)[0]


def descent(network: Network, objective: Objective, optimizer: Optimizer) -> Callable:
    """Write the program (subspace, state, x, y, batches (k, batch), decay) -> state k steps on.

    >>> task, space = Task("mlp", "digits"), AffineSubspace(jnp.zeros(2410), Identity(2410))
    >>> given = space, initial_state(2410, task.optimizer), *task.arrays[:2], jnp.zeros((3, 8), int)
    >>> jax.eval_shape(descent(task.network, task.objective, task.optimizer), *given).theta.shape
    (2410,)
    """
    transform = make_optimizer(optimizer)

    def descend(subspace, state, x, y, batches, decay=None):
        def step(state, indices):
            theta, given = state.theta, (x, y, indices, decay)
            gradient = batch_gradient(network, objective, subspace, theta, *given)
            updates, opt_state = transform.update(gradient, state.opt_state, theta)
            return State(optax.apply_updates(theta, updates), opt_state), None

        return lax.scan(step, state, batches)[0]

    return descend


def evaluation(network: Network, objective: Objective) -> Callable:
    """Write the program (w (D,), x, y) -> mean loss and metrics of a split, (1 + metrics,).

    >>> task = Task("mlp", "digits")
    >>> program = evaluation(task.network, task.objective)
    >>> jax.eval_shape(program, jnp.zeros(2410), *task.arrays[2:]).shape
    (2,)
    """

    def chunk(w, x, y):
        outputs = network.apply(w, x)
        return jnp.stack([function(outputs, y).sum() for _, function in objective.functions])

    size = network.evaluation_chunk

    def evaluate(w, x, y):
        whole = len(x) // size * size
        total = jnp.zeros(1 + len(objective.metrics))
        if whole:
            xs, ys = (a[:whole].reshape(-1, size, *a.shape[1:]) for a in (x, y))
            total += lax.map(lambda b: chunk(w, *b), (xs, ys)).sum(0)
        if whole < len(x):
            total += chunk(w, x[whole:], y[whole:])
        return total / len(x)

    return evaluate


@lru_cache(maxsize=16)
def compiled_descent(network: Network, objective: Objective, optimizer: Optimizer) -> Callable:
    """Compile ``descent`` once for a network, an objective and an optimizer.

    >>> task = Task("mlp", "digits")
    >>> given = task.network, task.objective, task.optimizer
    >>> compiled_descent(*given) is compiled_descent(*given)
    True
    """
    return fast_jit(descent(network, objective, optimizer))


@lru_cache(maxsize=16)
def compiled_evaluation(network: Network, objective: Objective) -> Callable:
    """Compile ``evaluation`` once for a network and an objective.

    >>> task = Task("mlp", "digits")
    >>> program = compiled_evaluation(task.network, task.objective)
    >>> program(jnp.zeros(2410), *task.arrays[2:])[0].round(4)  # log 10
    Array(2.3026, dtype=float32)
    """
    return fast_jit(evaluation(network, objective))


def evaluate(task: Task, w: jax.Array) -> jax.Array:
    """Evaluate the weights w (D,) on both whole sets, in the order of ``objective.metric_names``.

    >>> evaluate(Task("mlp", "digits"), jnp.zeros(2410))[0].round(4)  # log 10
    Array(2.3026, dtype=float32)
    """
    checks.floats("w", w, (checks.instance("task", task, Task).network.D,))
    program, data = compiled_evaluation(task.network, task.objective), task.arrays
    train = program(w, data.x_train, data.y_train)
    return jnp.concatenate([train, program(w, data.x_test, data.y_test)])


_point = jax.jit(AffineSubspace.point)


@partial(jax.jit, static_argnames="examples")
def epoch_order(key: jax.Array, epoch: int, examples: int) -> jax.Array:
    """Draw the order of the training examples of an epoch, a permutation (examples,).

    >>> epoch_order(jax.random.key(0), 0, 1438).shape
    (1438,)
    """
    return jax.random.permutation(jax.random.fold_in(key, epoch), examples)


def batches(order: jax.Array, start: int, stop: int, batch_size: int) -> Iterator[jax.Array]:
    """Cut steps start to stop of an epoch (..., count) into batches, indices (..., k, batch).

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
    """Start at theta = 0 in R^d.

    >>> initial_state(2, optax.sgd(0.1)).theta
    Array([0., 0.], dtype=float32)
    """
    theta = jnp.zeros(d)
    return State(theta, make_optimizer(optimizer).init(theta))


class Programs(NamedTuple):
    """Hold what the loop of a training needs, for a run or, with a leading axis, for several.

    ``descend`` is (subspace, state, batches) -> state; ``measure`` (subspace, theta) -> metrics,
    (..., metrics); ``order`` gives the order of the examples in an epoch, (..., examples).

    >>> Programs(lambda space, state, part: state, lambda *_: jnp.ones(4), jnp.arange).order(3)
    Array([0, 1, 2], dtype=int32)
    """

    descend: Callable
    measure: Callable
    order: Callable


def follow(
    programs: Programs, task: Task, subspace: AffineSubspace, state: State, at_offset: jax.Array,
    epochs: int | None = None,
) -> tuple[np.ndarray, np.ndarray, State]:  # fmt: skip
    """Make all steps of a training and measure at its checkpoints.

    ``at_offset`` are the metrics at theta = 0, (..., metrics). Returns the updates made at each
    checkpoint, (checkpoints,); metrics, (checkpoints, ..., metrics); the end.

    >>> idle = lambda space, state, part: state, lambda space, theta: jnp.ones(4)
    >>> given = Programs(*idle, lambda epoch: jnp.arange(1438)), Task("mlp", "digits"), None
    >>> follow(*given, initial_state(2, optax.sgd(0.1)), jnp.zeros(4), epochs=2)[0]
    array([ 0, 12, 24])
    """
    steps, count = task.steps_per_epoch, task.epochs if epochs is None else epochs
    made, records = checkpoints(steps, task.checkpoints_per_epoch, count), [at_offset]
    order: Any = None
    for start, stop in pairwise(made):
        epoch, done = divmod(start, steps)
        order = order if done else programs.order(epoch)
        for part in batches(order, done, done + stop - start, task.batch_size):
            state = programs.descend(subspace, state, part)
        records.append(programs.measure(subspace, state.theta))
    return np.asarray(made), np.asarray(jnp.stack(records)), state


def make_history(task: Task, made: np.ndarray, table: np.ndarray) -> pd.DataFrame:
    """Tabulate one run from the updates made at each checkpoint and its metrics there.

    >>> make_history(Task("mlp", "digits"), np.array([0, 12]), np.zeros((2, 4))).epoch.tolist()
    [0.0, 1.0]
    """
    names = ("step", "epoch", *task.objective.metric_names)
    columns = (made, made / task.steps_per_epoch, *table.T)
    return pd.DataFrame(dict(zip(names, columns, strict=True)))


def fit(
    task: Task, subspace: AffineSubspace, key: jax.Array, *, optimizer: Optimizer | None = None,
    epochs: int | None = None, decay: jax.Array | None = None, at_offset: jax.Array | None = None,
) -> Trained:  # fmt: skip
    """Minimise the training loss inside an affine subspace (Larsen et al., 2022, 2 and A.4).

    Each epoch is a fresh permutation drawn from ``key``; ``optimizer``, of theta, and ``epochs``
    are the task's by default; ``decay`` (D,) adds the penalty sum_k decay_k w_k^2 / 2;
    ``at_offset``, the same for every d, spares ``evaluate`` at the offset.

    >>> task, space = Task("mlp", "digits"), AffineSubspace(jnp.ones(2410), Identity(2410))
    >>> fit(task, space, jax.random.key(0), epochs=2).history.step.tolist()
    [0, 12, 24]
    """
    D = checks.instance("task", task, Task).network.D
    checks.floats("offset", checks.instance("subspace", subspace, AffineSubspace).offset, (D,))
    checks.key(key)
    if decay is not None:
        checks.floats("decay", decay, (D,))
    if at_offset is not None:
        checks.floats("at_offset", at_offset, (len(task.objective.metric_names),))
    epochs = task.epochs if epochs is None else checks.integer("epochs", epochs, 1)
    optimizer = task.optimizer if optimizer is None else optimizer
    state = initial_state(subspace.d, optimizer)
    program = compiled_descent(task.network, task.objective, optimizer)
    x, y = task.arrays.x_train, task.arrays.y_train
    programs = Programs(
        descend=lambda subspace, state, part: program(subspace, state, x, y, part, decay),
        measure=lambda subspace, theta: evaluate(task, _point(subspace, theta)),
        order=lambda epoch: epoch_order(key, epoch, len(y)),
    )
    at_offset = evaluate(task, subspace.offset) if at_offset is None else at_offset
    made, table, state = follow(programs, task, subspace, state, at_offset, epochs)
    return Trained(make_history(task, made, table), state.theta)


def batches_key(seed: int) -> jax.Array:
    """Derive the key of the order of the batches inside a subspace, shared by all d of a seed.

    >>> bool(batches_key(0) == batches_key(1))
    False
    """
    return run_key(seed, Role.SUBSPACE_BATCHES)


def train(task: Task, subspace: AffineSubspace, seed: int = 0) -> Trained:
    """Minimise the training loss inside an affine subspace, starting at theta = 0.

    ``method.subspace(task, seed, d)`` makes one, and ``AffineSubspace(w0, Identity(D))`` is the
    full space; ``seed`` is that of the order of the batches, as in sweeps.

    >>> task = Task("mlp", "digits", epochs=1)
    >>> train(task, AffineSubspace(task.initialization(0), Identity(2410))).theta.shape
    (2410,)
    """
    return fit(task, subspace, batches_key(seed))


def _full_training(task: Task, w0, key, steps: int, at_once: int) -> Iterator[jax.Array]:
    """Descend from w0 in the full space, giving w - w0 after at most so many updates at once."""
    space, x, y = AffineSubspace(w0, Identity(len(w0))), task.arrays.x_train, task.arrays.y_train
    program = compiled_descent(task.network, task.objective, task.burn_in_optimizer)
    state, each = initial_state(space.d, task.burn_in_optimizer), task.steps_per_epoch
    yield state.theta
    for epoch in range(-(-steps // each)):
        order = epoch_order(key, epoch, len(y))
        for part in batches(order, 0, min(each, steps - epoch * each), task.batch_size):
            for i in range(0, len(part), at_once):
                state = program(space, state, x, y, part[i : i + at_once], None)
                yield state.theta


def displacements(task: Task, w0: jax.Array, key: jax.Array) -> Iterator[jax.Array]:
    """Train in the full space as ``burn_in`` does, giving w - w0 after every update, for ever.

    >>> next(displacements(Task("mlp", "digits"), jnp.zeros(2410), jax.random.key(0))).shape
    (2410,)
    """
    # One update at once: two programs serve every spacing and epoch.
    return islice(_full_training(task, w0, key, sys.maxsize, 1), 1, None)


def burn_in(task: Task, w0: jax.Array, key: jax.Array, steps: int) -> jax.Array:
    """Train in the full space by the task's burn-in optimizer, w0 -> w_t (paper, Eq. 2.2).

    With the same key, w_4 lies on the trajectory that reaches w_16; 0 steps give w0.

    >>> burn_in(Task("mlp", "digits"), jnp.ones(2410), jax.random.key(0), 0)[0]
    Array(1., dtype=float32)
    """
    checks.floats("w0", w0, (checks.instance("task", task, Task).network.D,))
    steps = checks.integer("steps", steps)
    (moved,) = deque(_full_training(task, w0, checks.key(key), steps, steps), maxlen=1)
    return w0 + moved
