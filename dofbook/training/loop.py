"""The one trainer: descends the loss inside any affine subspace, or in the full space.

A run is a pure function of a subspace, a key and a configuration. It is compiled once for a
(network, optimizer, shapes) and then used for every run. ``dofbook.training.batched`` trains many runs at once
with the loop of this module.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from dofbook.errors import InputError
from dofbook.networks import FlatNetwork
from dofbook.subspaces import AffineSubspace, Identity
from dofbook.training.compiling import fast_jit
from dofbook.training.optimizers import OptimizerConfig, make_optimizer


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["x_train", "y_train", "x_test", "y_test"],
    meta_fields=[],
)
@dataclass(frozen=True)
class DeviceData:
    """Hold a data set on the device.

    Args:
        x_train: Training images, (N, H, W, C) float32.
        y_train: Training labels, (N,) int32.
        x_test: Test images.
        y_test: Test labels.
    """

    x_train: jax.Array
    y_train: jax.Array
    x_test: jax.Array
    y_test: jax.Array


def put(dataset) -> DeviceData:
    """Copy a data set to the default device, once.

    Args:
        dataset: A ``dofbook.datasets.Dataset``, or anything with the same four arrays.

    Returns:
        The arrays on the device.

    Raises:
        InputError: If labels are not integers from 0 on, one to an image.
    """
    for part in ("train", "test"):
        x, y = getattr(dataset, f"x_{part}"), getattr(dataset, f"y_{part}")
        if np.shape(y) != np.shape(x)[:1] or not np.issubdtype(y.dtype, np.integer):
            raise InputError(
                f"y_{part} is {y.dtype} {np.shape(y)} for {len(x)} images; one integer to an image "
                "is needed."
            )
        if len(y) and y.min() < 0:
            raise InputError(f"y_{part} has the label {y.min()}; labels count from 0.")
    return DeviceData(
        *(jnp.asarray(getattr(dataset, n)) for n in ("x_train", "y_train", "x_test", "y_test"))
    )


def check_logits(network: FlatNetwork, data: DeviceData) -> None:
    """Make sure that the network has a logit for every label.

    Args:
        network: The flat network.
        data: The data set on the device.

    Raises:
        InputError: If a label has no logit: the loss would not be a number.
    """
    w = jax.ShapeDtypeStruct((network.D,), jnp.float32)
    shape = jax.eval_shape(network.apply, w, data.x_train[:1]).shape
    largest = max(int(np.max(y, initial=0)) for y in map(np.asarray, (data.y_train, data.y_test)))
    if len(shape) != 2 or largest >= shape[-1]:
        raise InputError(
            f"the network gives an array of shape {shape} for one image; the label {largest} needs "
            f"(1, classes) with at least {largest + 1} classes."
        )


@dataclass(frozen=True)
class TrainConfig:
    """Say how long and how to train.

    Args:
        epochs: Passes over the training set.
        batch_size: Images per step; a last smaller batch is used too, as in the released code.
        checkpoints_per_epoch: Evaluations per epoch, the last at its end.
        optimizer: Optimizer of theta.

    Raises:
        InputError: If a number is below 1.
    """

    epochs: int = 3
    batch_size: int = 128
    checkpoints_per_epoch: int = 1
    optimizer: OptimizerConfig = OptimizerConfig()

    def __post_init__(self):
        for name in ("epochs", "batch_size", "checkpoints_per_epoch"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1.")


class History(NamedTuple):
    """Record the metrics of one run at its checkpoints; the first is theta = 0.

    Attributes:
        step: Updates made, (checkpoints,).
        epoch: Passes over the data made, (checkpoints,).
        train_loss: Mean cross-entropy on the whole training set.
        train_accuracy: Fraction of training images classified correctly.
        test_loss: The same on the test set.
        test_accuracy: The same on the test set.
    """

    step: np.ndarray
    epoch: np.ndarray
    train_loss: np.ndarray
    train_accuracy: np.ndarray
    test_loss: np.ndarray
    test_accuracy: np.ndarray


class Trained(NamedTuple):
    """Return value of ``train``: the record and where it ended.

    Attributes:
        history: Metrics at the checkpoints.
        theta: Final coordinates in the subspace, (d,).
    """

    history: History
    theta: jax.Array


class State(NamedTuple):
    """Carry of the training loop: coordinates and optimizer state."""

    theta: jax.Array
    opt_state: optax.OptState


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Average the cross-entropy over a batch.

    Args:
        logits: (N, classes).
        labels: (N,) integers.

    Returns:
        The mean loss in nats.
    """
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def batch_loss(network: FlatNetwork, subspace: AffineSubspace, theta, x, y) -> jax.Array:
    """Evaluate L(w(theta)) on a batch.

    Args:
        network: The flat network.
        subspace: The affine subspace.
        theta: Coordinates, (d,).
        x: Images.
        y: Labels.

    Returns:
        Mean cross-entropy.
    """
    return cross_entropy(network.apply(subspace.point(theta), x), y)


def batch_gradient(network: FlatNetwork, subspace: AffineSubspace, theta, x, y, indices):
    """Differentiate L(w(theta)) on a batch, in chunks of images where the network asks for them.

    Args:
        network: The flat network.
        subspace: The affine subspace.
        theta: Coordinates, (d,).
        x: Images of the whole split.
        y: Labels of the whole split.
        indices: Images of the batch, (batch,).

    Returns:
        The gradient with respect to theta, (d,).
    """
    size = network.gradient_chunk
    if size is None or len(indices) % size or len(indices) == size:
        loss = partial(batch_loss, network, subspace)
        return jax.grad(loss)(theta, x[indices], y[indices])
    w, pull_back = jax.vjp(subspace.point, theta)

    def add(total, part):
        gradient = jax.grad(lambda w: cross_entropy(network.apply(w, x[part]), y[part]))
        return total + gradient(w), None

    chunks = indices.reshape(-1, size)
    total, _ = lax.scan(add, jnp.zeros_like(w), chunks)
    return pull_back(total / len(chunks))[0]


def descent(network: FlatNetwork, optimizer: OptimizerConfig) -> Callable:
    """Write the program "take the steps given by these batches of indices".

    Args:
        network: The flat network.
        optimizer: Optimizer of theta.

    Returns:
        A pure function (subspace, state, x, y, batches (k, batch)) -> state after k updates.
    """
    transform = make_optimizer(optimizer)

    def descend(subspace, state, x, y, batches):
        def step(state, indices):
            gradient = batch_gradient(network, subspace, state.theta, x, y, indices)
            updates, opt_state = transform.update(gradient, state.opt_state, state.theta)
            return State(optax.apply_updates(state.theta, updates), opt_state), None

        return lax.scan(step, state, batches)[0]

    return descend


def evaluation(network: FlatNetwork) -> Callable:
    """Write the program "loss and accuracy over a whole split", in chunks to bound memory.

    Args:
        network: The flat network.

    Returns:
        A pure function (w (D,), x, y) -> mean loss and accuracy, (2,).
    """

    def chunk(w, x, y):
        logits = network.apply(w, x)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, y).sum()
        return jnp.stack([loss, (logits.argmax(-1) == y).sum().astype(jnp.float32)])

    size = network.evaluation_chunk

    def evaluate(w, x, y):
        count = len(x)
        whole = count // size * size
        total = jnp.zeros(2)
        if whole:
            xs = x[:whole].reshape(-1, size, *x.shape[1:])
            total += lax.map(lambda b: chunk(w, *b), (xs, y[:whole].reshape(-1, size))).sum(0)
        if whole < count:
            total += chunk(w, x[whole:], y[whole:])
        return total / count

    return evaluate


@lru_cache(maxsize=16)
def compiled_descent(network: FlatNetwork, optimizer: OptimizerConfig) -> Callable:
    """Compile ``descent`` once for a network and an optimizer.

    Args:
        network: The flat network.
        optimizer: Optimizer of theta.

    Returns:
        The compiled function.
    """
    return fast_jit(descent(network, optimizer))


@lru_cache(maxsize=16)
def _evaluate(network: FlatNetwork) -> Callable:
    return fast_jit(evaluation(network))


def evaluate(network: FlatNetwork, data: DeviceData, w: jax.Array) -> jax.Array:
    """Evaluate loss and accuracy on the whole training and test sets.

    Args:
        network: The flat network.
        data: The data set on the device.
        w: Weights, (D,).

    Returns:
        Training loss, training accuracy, test loss and test accuracy, (4,).
    """
    program = _evaluate(network)
    train = program(w, data.x_train, data.y_train)
    return jnp.concatenate([train, program(w, data.x_test, data.y_test)])


@jax.jit
def _point(subspace: AffineSubspace, theta: jax.Array) -> jax.Array:
    return subspace.point(theta)


@partial(jax.jit, static_argnames="count")
def epoch_order(key: jax.Array, epoch: int, count: int) -> jax.Array:
    """Draw the order of the images of an epoch.

    Args:
        key: Key of the run's batches.
        epoch: Number of the epoch, from 0.
        count: Training images.

    Returns:
        A permutation, (count,).
    """
    return jax.random.permutation(jax.random.fold_in(key, epoch), count)


def stretches(order: jax.Array, start: int, stop: int, batch_size: int) -> Iterator[jax.Array]:
    """Cut steps of an epoch into batches of equal size; a smaller last batch comes apart.

    Args:
        order: Order of the training images, (..., count).
        start: First step, from 0.
        stop: Step after the last.
        batch_size: Images per step.

    Yields:
        Indices, (..., k, batch), one array or two.
    """
    full = min(stop, order.shape[-1] // batch_size)
    if start < full:
        whole = order[..., start * batch_size : full * batch_size]
        yield whole.reshape(*order.shape[:-1], -1, batch_size)
    if stop > full:
        yield order[..., None, full * batch_size :]


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Count the batches of an epoch, the last smaller one included.

    Args:
        count: Training images.
        batch_size: Images per batch.

    Returns:
        The number of steps.
    """
    return -(-count // batch_size)


def initial_state(subspace: AffineSubspace, optimizer: OptimizerConfig) -> State:
    """Start at theta = 0.

    Args:
        subspace: Where to train.
        optimizer: Optimizer of theta.

    Returns:
        Coordinates and optimizer state.
    """
    theta = jnp.zeros(subspace.d)
    return State(theta, make_optimizer(optimizer).init(theta))


class Programs(NamedTuple):
    """What the loop of a training needs, for one run or for a batch of runs.

    Attributes:
        descend: (subspace, state, x, y, batches) -> state, see ``descent``.
        measure: (subspace, theta) -> metrics, (..., 4).
        order: epoch -> order of the training images, (..., count).
    """

    descend: Callable
    measure: Callable
    order: Callable


def follow(
    programs: Programs,
    data: DeviceData,
    subspace: AffineSubspace,
    state: State,
    at_offset: jax.Array,
    config: TrainConfig,
) -> tuple[np.ndarray, np.ndarray, State]:
    """Make all steps of a training and measure at its checkpoints.

    Args:
        programs: How to step, to measure and to order the images.
        data: The data set on the device.
        subspace: Where to train.
        state: Where to start.
        at_offset: Metrics at theta = 0, (..., 4).
        config: Epochs, batches and checkpoints.

    Returns:
        Updates made at each checkpoint, (checkpoints,); metrics, (checkpoints, ..., 4); the end.
    """
    steps = steps_per_epoch(len(data.x_train), config.batch_size)
    cuts = np.unique(np.linspace(0, steps, config.checkpoints_per_epoch + 1).round().astype(int))
    made, records = [0], [at_offset]
    for epoch in range(config.epochs):
        order = programs.order(epoch)
        for start, stop in zip(cuts[:-1], cuts[1:], strict=True):
            for batches in stretches(order, start, stop, config.batch_size):
                state = programs.descend(subspace, state, data.x_train, data.y_train, batches)
            made.append(epoch * steps + int(stop))
            records.append(programs.measure(subspace, state.theta))
    return np.asarray(made), np.asarray(jnp.stack(records)), state


def make_history(made: np.ndarray, table: np.ndarray, steps: int) -> History:
    """Name the metrics of one run.

    Args:
        made: Updates made at each checkpoint, (checkpoints,).
        table: Metrics, (checkpoints, 4).
        steps: Steps per epoch.

    Returns:
        The record.
    """
    return History(made, made / steps, *table.T)


def train(
    network: FlatNetwork,
    data: DeviceData,
    subspace: AffineSubspace,
    key: jax.Array,
    config: TrainConfig,
    at_offset: jax.Array | None = None,
) -> Trained:
    """Minimise the training loss inside an affine subspace, starting at theta = 0.

    Args:
        network: The network as a function of its flat weights.
        data: The data set on the device.
        subspace: Where to train; ``AffineSubspace(w0, Identity(D))`` is the full space.
        key: Key of the order of the batches; each epoch is a fresh permutation.
        config: Epochs, batches, checkpoints and optimizer.
        at_offset: ``evaluate`` of the offset, (4,), if it is known already: it is the same for
            every d.

    Returns:
        Metrics at theta = 0 and at each checkpoint, and the final theta.

    Raises:
        InputError: If a label has no logit.

    Source:
        Larsen et al. (2022), sections 2 and A.4.
    """
    check_logits(network, data)
    count = len(data.x_train)
    programs = Programs(
        descend=compiled_descent(network, config.optimizer),
        measure=lambda subspace, theta: evaluate(network, data, _point(subspace, theta)),
        order=lambda epoch: epoch_order(key, epoch, count),
    )
    at_offset = evaluate(network, data, subspace.offset) if at_offset is None else at_offset
    state = initial_state(subspace, config.optimizer)
    made, table, state = follow(programs, data, subspace, state, at_offset, config)
    steps = steps_per_epoch(count, config.batch_size)
    return Trained(make_history(made, table, steps), state.theta)


def burn_in(
    network: FlatNetwork,
    data: DeviceData,
    w0: jax.Array,
    key: jax.Array,
    steps: int,
    batch_size: int = 128,
    optimizer: OptimizerConfig | None = None,
) -> jax.Array:
    """Train in the full space for t steps, w0 -> w_t.

    Args:
        network: The flat network.
        data: The data set on the device.
        w0: Initial weights, (D,).
        key: Key of the order of the batches.
        steps: t, the number of updates; 0 returns w0.
        batch_size: Images per step.
        optimizer: Momentum SGD with learning rate 5e-2 and momentum 0.9 by default, which the
            paper's text leaves open and its released code uses.

    Returns:
        w_t, (D,). With the same key, w_4 lies on the trajectory that reaches w_16.

    Source:
        Larsen et al. (2022), Eq. 2.2.
    """
    optimizer = optimizer or OptimizerConfig(name="momentum", learning_rate=5e-2)
    subspace = AffineSubspace(w0, Identity(network.D))
    descend, state = compiled_descent(network, optimizer), initial_state(subspace, optimizer)
    count = len(data.x_train)
    per_epoch = steps_per_epoch(count, batch_size)
    for epoch in range(-(-steps // per_epoch)):
        order = epoch_order(key, epoch, count)
        last = min(per_epoch, steps - epoch * per_epoch)
        for batches in stretches(order, 0, last, batch_size):
            state = descend(subspace, state, data.x_train, data.y_train, batches)
    return subspace.point(state.theta)
