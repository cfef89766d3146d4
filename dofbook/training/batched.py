"""Many runs of one training: one after the other, or batched by ``vmap`` and over several devices.

Batched runs fill a GPU; on a CPU one run fills the cores. Both ways draw the same random numbers
and take the same steps. Sequential runs are bitwise the same whatever surrounds them; batched ones,
whose products add in another order, agree with them to rounding, which training amplifies.
"""

import logging
import os
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dofbook import checks
from dofbook.errors import RunFailed
from dofbook.networks import Network
from dofbook.subspaces import AffineSubspace
from dofbook.training import Batching, Objective, Optimizer, Task, loop
from dofbook.training.compiling import fast_jit

log = logging.getLogger(__name__)

MEMORY_SHARE = 0.8
"""Part of a device's free memory that a batch of runs is planned for."""
_BY_RUN = PartitionSpec("runs")


def train_runs(
    task: Task, build: Callable[[int], AffineSubspace], keys: Sequence[jax.Array],
    optimizer: Optimizer | None = None, batching: Batching | None = None,
    at_offset: Callable[[AffineSubspace], jax.Array] | None = None,
) -> list[pd.DataFrame]:  # fmt: skip
    """Train every run, with one key each for the order of the batches; histories as of ``train``.

    ``build`` makes the subspace of run i = 0, 1, ... when its turn comes; ``optimizer`` is the
    task's by default; ``at_offset`` gives the metrics at theta = 0 if they are known. Batched runs
    that do not fit the memory go in smaller chunks; RunFailed if one on each device does not.

    >>> from dofbook.methods import RandomAffine
    >>> task = Task("mlp", "digits", epochs=1)
    >>> build, keys = lambda i: RandomAffine().subspace(task, i, 4), [loop.batches_key(0)]
    >>> train_runs(task, build, keys)[0].step.tolist()
    [0, 12]
    """
    checks.instance("task", task, Task)
    checks.function("build", build)
    keys = [checks.key(key) for key in (keys if hasattr(keys, "__len__") else [keys])]
    batching = Batching() if batching is None else batching
    checks.instance("batching", batching, Batching)
    optimizer = task.optimizer if optimizer is None else optimizer
    if at_offset is None:
        at_offset = lambda s: loop.evaluate(task, s.offset)  # noqa: E731
    checks.function("at_offset", at_offset)

    def train_one(space, key):
        return loop.fit(task, space, key, optimizer=optimizer, at_offset=at_offset(space)).history

    with batching.matmul_precision():
        if not batching.batched:
            return [train_one(build(run), key) for run, key in enumerate(keys)]
        chunk = partial(_train_chunk, task, build, keys, optimizer, at_offset)
        return _in_chunks(chunk, len(keys), batching.chunk)


def _in_chunks(train_chunk, runs: int, chunk: int | None) -> list[pd.DataFrame]:
    """Call train_chunk(range of runs, devices, size) until all are done; halve where memory ends.

    Every chunk has the same number of slots, so that one compiled program serves all.
    """
    devices, done, size = jax.devices(), [], chunk and min(chunk, runs)
    while len(done) < runs:
        part = range(len(done), min(len(done) + (size or runs), runs))
        try:
            size, histories = train_chunk(part, devices, size)
            done += histories
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            size = size or runs
            if size <= len(devices):
                fault = "one run per device does not fit the device's memory"
                advice = "use a smaller d, structured directions or a device with more memory"
                raise RunFailed(f"{fault}; {advice} ({str(error).splitlines()[0]}).") from None
            log.warning("out of memory with %d runs at once; going on with %d.", size, size // 2)
            size //= 2
    return done


def chunk_size(runs: int, bytes_per_run: float, free_bytes: float, devices: int = 1) -> int:
    """Choose how many runs to train at once: as many as fit, in chunks of nearly equal size.

    ``free_bytes`` is that of each of the ``devices`` that share the runs.

    >>> chunk_size(10, bytes_per_run=1.0, free_bytes=7.5)  # 6 would fit; two fives do as well
    5
    """
    most = max(int(MEMORY_SHARE * free_bytes // bytes_per_run), 1) * devices
    return -(-runs // -(-runs // most))


def free_bytes(device) -> float:
    """Ask a device for its free memory: what a GPU's allocator may still give, or the host's.

    >>> free_bytes(jax.devices()[0]) > 0
    True
    """
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not offered on every system
        return 4 * 2.0**30


def tree_bytes(tree) -> int:
    """Add up the bytes of all arrays, or shapes, of a pytree.

    >>> tree_bytes({"w": jnp.zeros(5), "b": jax.ShapeDtypeStruct((2, 2), jnp.float32)})
    36
    """
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


@lru_cache(maxsize=64)
def _activation_bytes(network: Network, objective: Objective, example: Any, target: Any) -> float:
    """Count what the forward pass of one example keeps for its gradient, running nothing."""
    count = 64

    def residuals(w, x, y):
        return jax.vjp(lambda w: objective.loss(network.apply(w, x), y).mean(), w)[1]

    x, y = (jax.ShapeDtypeStruct((count, *shape), dtype) for shape, dtype in (example, target))
    w = jax.ShapeDtypeStruct((network.D,), jnp.float32)
    return tree_bytes(jax.eval_shape(residuals, w, x, y)) / count


def run_bytes(task: Task, subspace: AffineSubspace) -> float:
    """Estimate the memory one batched run takes, from above; shapes of a subspace are enough.

    Twice the activations (they and their cotangents) of a batch or of an evaluation's chunk, the
    subspace, theta with two moments, gradient and update, and the weights with their gradient.

    >>> from dofbook.subspaces import Identity
    >>> run_bytes(Task("mlp", "digits"), AffineSubspace(jnp.zeros(2410), Identity(2410))) > 1e5
    True
    """
    data, network = task.data, task.network
    example, target = ((a.shape[1:], a.dtype) for a in (data.x_train, data.y_train))
    count = max(task.batch_size, network.evaluation_chunk)
    activations = 2 * count * _activation_bytes(network, task.objective, example, target)
    return activations + tree_bytes(subspace) + 4 * (5 * subspace.d + 3 * network.D)


def _train_chunk(task, build, keys, optimizer, at_offset, part, devices, size):
    """Train the runs of one chunk together; a size of None is chosen once a subspace is known."""
    first = build(part[0])
    d = first.d
    if size is None:
        free = min(map(free_bytes, devices))
        size = chunk_size(len(keys), run_bytes(task, first), free, len(devices))
        part = part[:size]
    devices = tuple(devices[:size])
    stack, starts = _Stack(first, -(-size // len(devices)), devices), []
    for slot, run in enumerate(part):
        subspace = first if slot == 0 else build(run)
        starts.append(at_offset(subspace))
        stack.put(slot, subspace)
    del first, subspace  # type: ignore[possibly-undefined]  # training reads their copies
    filled = [min(slot, len(part) - 1) for slot in range(stack.slots)]  # idle ones repeat the last
    programs = _programs(task, optimizer, [keys[part[s]] for s in filled], devices)
    start = jax.device_put(_spread(loop.initial_state(d, optimizer), stack.slots), _over(devices))
    at_start = jnp.stack([starts[s] for s in filled])
    made, table, _ = loop.follow(programs, task, stack.take(), start, at_start)
    return size, [loop.make_history(task, made, table[:, slot]) for slot in range(len(part))]


@partial(jax.jit, static_argnames="slots")
def _spread(tree, slots: int):
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (slots, *leaf.shape)), tree)


@partial(jax.jit, donate_argnums=0)
def _insert(stack, tree, slot):
    return jax.tree.map(lambda all_, one: all_.at[slot].set(one), stack, tree)


class _Stack:
    """Fill preallocated memory with subspaces, one after the other, on their own devices.

    Stacking a list would hold every subspace twice; donated buffers are written in place.
    """

    def __init__(self, like: AffineSubspace, per_device: int, devices):
        self._devices, self._per_device = devices, per_device
        self.slots = per_device * len(devices)
        self._parts = [_spread(jax.device_put(like, device), per_device) for device in devices]

    def put(self, slot: int, subspace: AffineSubspace) -> None:
        where, place = divmod(slot, self._per_device)
        subspace = jax.device_put(subspace, self._devices[where])
        self._parts[where] = _insert(self._parts[where], subspace, place)

    def take(self) -> AffineSubspace:
        """Hand over all subspaces as one, with a leading axis that lies across the devices."""
        parts, self._parts = self._parts, []
        join, where = jax.make_array_from_single_device_arrays, _over(self._devices)
        return jax.tree.map(
            lambda *all_: join((self.slots, *all_[0].shape[1:]), where, all_), *parts
        )


@lru_cache(maxsize=16)
def _over(devices: tuple, spec: PartitionSpec = _BY_RUN) -> NamedSharding:
    return NamedSharding(Mesh(np.array(devices), ("runs",)), spec)


@lru_cache(maxsize=16)
def _batched(network: Network, objective: Objective, optimizer: Optimizer, devices: tuple):
    """Compile stepping and measuring for a batch of runs; each device has its own share."""
    descend = jax.vmap(loop.descent(network, objective, optimizer), in_axes=(0, 0, None, None, 0))
    measure_split = loop.evaluation(network, objective)

    def measure_one(subspace, theta, data):
        w = subspace.point(theta)
        return jnp.concatenate([measure_split(w, *data[:2]), measure_split(w, *data[2:])])

    measure = jax.vmap(measure_one, in_axes=(0, 0, None))
    if len(devices) > 1:
        share = partial(jax.shard_map, mesh=_over(devices).mesh, out_specs=_BY_RUN, check_vma=False)
        everyone = PartitionSpec()
        descend = share(descend, in_specs=(_BY_RUN, _BY_RUN, everyone, everyone, _BY_RUN))
        measure = share(measure, in_specs=(_BY_RUN, _BY_RUN, everyone))
    return fast_jit(descend), fast_jit(measure)


def _programs(task, optimizer, keys, devices) -> loop.Programs:
    step, measure = _batched(task.network, task.objective, optimizer, devices)
    data = jax.device_put(task.arrays, _over(devices, PartitionSpec()))

    def order(epoch):
        orders = [loop.epoch_order(key, epoch, len(data.y_train)) for key in keys]
        return jax.device_put(jnp.stack(orders), _over(devices))

    return loop.Programs(
        descend=lambda subspace, state, part: step(subspace, state, *data[:2], part),
        measure=lambda subspace, theta: measure(subspace, theta, data),
        order=order,
    )
