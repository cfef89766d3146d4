"""Many runs of one training: one after the other, or batched by ``vmap`` and over several devices.

Batched runs share every step's kernels, which fills a GPU; on a CPU one run fills the cores and
batching only adds memory traffic, so there runs follow each other. Both ways draw the same random
numbers and take the same steps. Sequential runs are bitwise the same whatever surrounds them.
Batched ones agree with them to rounding, which training amplifies: ``vmap`` turns the products of
each run into batched products, and those add in another order.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dofbook.errors import InputError, RunFailed
from dofbook.networks import Network
from dofbook.subspaces import AffineSubspace
from dofbook.training import loop
from dofbook.training.compiling import fast_jit
from dofbook.training.loop import Programs
from dofbook.training.objectives import Objective
from dofbook.training.optimizers import Optimizer
from dofbook.training.task import Task

log = logging.getLogger(__name__)

Strategy = Literal["auto", "sequential", "batched"]
Precision = Literal["float32", "tf32"]
MEMORY_SHARE = 0.8
"""Part of a device's free memory that a batch of runs is planned for; the rest is slack."""
_RUNS = PartitionSpec("runs")


@dataclass(frozen=True)
class Batching:
    """Say how the runs of a cell go together; no result depends on it beyond rounding.

    Args:
        strategy: "auto" is batched except on a CPU.
        chunk: Runs trained at once when batched; None for as many as the memory is estimated to
            hold.
        precision: Of matrix products on a GPU: "float32", or the faster "tf32" with 10 bits of
            mantissa. A CPU always uses float32.

    Raises:
        InputError: If a value is not allowed.

    >>> Batching("sequential").batched
    False
    """

    strategy: Strategy = "auto"
    chunk: int | None = None
    precision: Precision = "float32"

    def __post_init__(self):
        for name, allowed in (("strategy", Strategy), ("precision", Precision)):
            if getattr(self, name) not in get_args(allowed):
                choices = ", ".join(get_args(allowed))
                raise InputError(f"{name} is {getattr(self, name)!r}; allowed: {choices}.")
        if self.chunk is not None and self.chunk < 1:
            raise InputError(f"chunk is {self.chunk}; it must be at least 1 run.")

    @property
    def batched(self) -> bool:
        """Whether runs go together on this machine."""
        if self.strategy == "auto":
            return jax.default_backend() != "cpu"
        return self.strategy == "batched"

    def matmul_precision(self) -> contextlib.AbstractContextManager:
        """Return the context manager that sets the precision of matrix products."""
        if jax.default_backend() == "cpu":
            return contextlib.nullcontext()
        return jax.default_matmul_precision(
            "tensorfloat32" if self.precision == "tf32" else "float32"
        )


def train_runs(
    task: Task,
    build: Callable[[int], AffineSubspace],
    keys: Sequence[jax.Array],
    optimizer: Optimizer | None = None,
    batching: Batching | None = None,
    at_offset: Callable[[AffineSubspace], jax.Array] | None = None,
) -> list[pd.DataFrame]:
    """Train every run; batched runs that do not fit the memory go in smaller chunks.

    Args:
        build: Makes the subspace of run i = 0, 1, ...; called when its turn comes, so that
            subspaces of runs that are not yet trained take no memory.
        keys: Key of the order of the batches, one per run.
        optimizer: Of theta; the task's by default.
        at_offset: Gives the metrics at theta = 0 if they are known; evaluated otherwise.

    Returns:
        One history per run, as ``train`` gives it.

    Raises:
        RunFailed: If a single run (on each device) does not fit the memory.

    >>> task = Task("mlp", "digits", epochs=1)
    >>> from dofbook.subspaces import gaussian
    >>> A = gaussian(jax.random.key(0), 4, task.network.D)
    >>> space = AffineSubspace(task.initialization(0), A)
    >>> runs = train_runs(task, lambda i: space, [jax.random.key(i) for i in range(2)])
    >>> len(runs), runs[0].step.tolist()
    (2, [0, 12])
    """
    batching = batching or Batching()
    optimizer = task.optimizer if optimizer is None else optimizer
    at_offset = at_offset or (lambda s: loop.evaluate(task, s.offset))
    with batching.matmul_precision():
        if not batching.batched:
            return [
                _train_one(task, build(run), key, optimizer, at_offset)
                for run, key in enumerate(keys)
            ]
        chunk = partial(_train_chunk, task, build, keys, optimizer, at_offset)
        return _in_chunks(chunk, len(keys), batching, partial(run_bytes, task))


def _train_one(task, subspace, key, optimizer, at_offset) -> pd.DataFrame:
    start = at_offset(subspace)
    return loop.fit(task, subspace, key, optimizer=optimizer, at_offset=start).history


# --- chunks --------------------------------------------------------------------------------


def _in_chunks(train_chunk, runs: int, batching: Batching, bytes_per_run) -> list[pd.DataFrame]:
    """Call train_chunk(range of runs, devices, size) until all are done; halve where memory ends.

    Every chunk has the same number of slots, so that one compiled program serves all.
    """
    devices, done, size = jax.devices(), [], batching.chunk and min(batching.chunk, runs)
    while len(done) < runs:
        part = range(len(done), min(len(done) + (size or runs), runs))
        problem, used, histories = None, 0, []
        try:
            used, histories = train_chunk(
                part, devices, size, partial(_fitting, bytes_per_run, runs)
            )
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            problem = str(error).splitlines()[0]  # the error itself would keep the arrays alive
        if problem is None:
            size = used
            done += histories
            continue
        size = _halved(size or runs, len(devices), problem)
    return done


def _halved(size: int, devices: int, problem: str) -> int:
    if size <= devices:
        raise RunFailed(
            f"one run per device does not fit the device's memory; use a smaller d, structured "
            f"directions or a device with more memory ({problem})."
        )
    log.warning("out of memory with %d runs at once; going on with %d.", size, size // 2)
    return max(size // 2, 1)


def chunk_size(runs: int, bytes_per_run: float, free_bytes: float, devices: int = 1) -> int:
    """Choose how many runs to train at once: as many as fit, in chunks of nearly equal size.

    Args:
        free_bytes: Of each device; ``devices`` share the runs.

    >>> chunk_size(10, bytes_per_run=1.0, free_bytes=7.5)  # 6 would fit; two fives do as well
    5
    """
    most = max(int(MEMORY_SHARE * free_bytes // bytes_per_run), 1) * devices
    chunks = -(-runs // most)
    return -(-runs // chunks)


def _fitting(bytes_per_run, runs: int, subspace: AffineSubspace, devices) -> int:
    return chunk_size(runs, bytes_per_run(subspace), min(map(free_bytes, devices)), len(devices))


def free_bytes(device) -> float:
    """Ask a device for its free memory: what a GPU's allocator may still hand out, or the host's.

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
    """Estimate the memory one batched run takes, from above.

    Twice the activations (they and their cotangents) of a batch or of an evaluation's chunk, the
    subspace, theta with two moments, gradient and update, and the weights with their gradient.
    Programs often need less (see tests/test_batched.py for the factor).

    Args:
        subspace: A subspace of the kind it trains in, or its shapes.

    >>> from dofbook.subspaces import Identity
    >>> task = Task("mlp", "digits")
    >>> run_bytes(task, AffineSubspace(jnp.zeros(task.network.D), Identity(task.network.D))) > 1e5
    True
    """
    data, network = task.data, task.network
    example, target = ((a.shape[1:], a.dtype) for a in (data.x_train, data.y_train))
    count = max(task.batch_size, network.evaluation_chunk)
    activations = 2 * count * _activation_bytes(network, task.objective, example, target)
    return activations + tree_bytes(subspace) + 4 * (5 * subspace.d + 3 * network.D)


# --- one chunk -----------------------------------------------------------------------------


def _train_chunk(task, build, keys, optimizer, at_offset, part, devices, size, fitting):
    """Train the runs of one chunk together; a size of None is chosen once a subspace is known."""
    first = build(part[0])
    if size is None:
        size = fitting(first, devices)
        part = part[:size]
    devices = tuple(devices[: min(size, len(devices))])
    stack, starts = _Stack(first, -(-size // len(devices)), devices), []
    d = first.d
    for slot, run in enumerate(part):
        subspace = first if slot == 0 else build(run)
        starts.append(at_offset(subspace))
        stack.put(slot, subspace)
    del first, subspace  # type: ignore[possibly-undefined]  # their copies in the stack are what the training reads
    # idle slots repeat the last run
    filled = [min(slot, len(part) - 1) for slot in range(stack.slots)]
    data = jax.device_put(task.arrays, NamedSharding(_mesh(devices), PartitionSpec()))
    programs = _programs(task, data, optimizer, [keys[part[s]] for s in filled], devices)
    start = _spread(loop.initial_state(d, optimizer), stack.slots)
    start = jax.device_put(start, NamedSharding(_mesh(devices), _RUNS))
    at_start = jnp.stack([starts[s] for s in filled])
    made, table, _ = loop.follow(programs, task, data, stack.take(), start, at_start)
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
        self._parts = [_spread(jax.device_put(like, device), per_device) for device in devices]

    @property
    def slots(self) -> int:
        return self._per_device * len(self._devices)

    def put(self, slot: int, subspace: AffineSubspace) -> None:
        where, place = divmod(slot, self._per_device)
        subspace = jax.device_put(subspace, self._devices[where])
        self._parts[where] = _insert(self._parts[where], subspace, place)

    def take(self) -> AffineSubspace:
        """Hand over all subspaces as one, with a leading axis that lies across the devices."""
        parts, self._parts = self._parts, []
        sharding = NamedSharding(_mesh(self._devices), _RUNS)

        def join(*shards):
            shape = (self.slots, *shards[0].shape[1:])
            return jax.make_array_from_single_device_arrays(shape, sharding, list(shards))

        return jax.tree.map(join, *parts)


@lru_cache(maxsize=8)
def _mesh(devices: tuple) -> Mesh:
    return Mesh(np.array(devices), ("runs",))


@lru_cache(maxsize=16)
def _batched(
    network: Network, objective: Objective, optimizer: Optimizer, devices: tuple
) -> tuple[Callable, Callable]:
    """Compile stepping and measuring for a batch of runs; each device has its own share."""
    descend_one = loop.descent(network, objective, optimizer)
    descend = jax.vmap(lambda *given: descend_one(*given), in_axes=(0, 0, None, None, 0))
    measure_split = loop.evaluation(network, objective)

    def measure_one(subspace, theta, data):
        w = subspace.point(theta)
        splits = (data.x_train, data.y_train), (data.x_test, data.y_test)
        return jnp.concatenate([measure_split(w, *split) for split in splits])

    measure = jax.vmap(measure_one, in_axes=(0, 0, None))
    if len(devices) > 1:
        share = partial(jax.shard_map, mesh=_mesh(devices), out_specs=_RUNS, check_vma=False)
        everyone = PartitionSpec()
        descend = share(descend, in_specs=(_RUNS, _RUNS, everyone, everyone, _RUNS))
        measure = share(measure, in_specs=(_RUNS, _RUNS, everyone))
    return fast_jit(descend), fast_jit(measure)


def _programs(task, data, optimizer, keys, devices) -> Programs:
    step, measure = _batched(task.network, task.objective, optimizer, devices)
    count = len(data.x_train)

    def order(epoch):
        orders = [loop.epoch_order(key, epoch, count) for key in keys]
        return jax.device_put(jnp.stack(orders), NamedSharding(_mesh(devices), _RUNS))

    def descend(subspace, state, x, y, indices, decay):
        return step(subspace, state, x, y, indices)  # only pruning decays, one run at a time

    return Programs(descend, lambda subspace, theta: measure(subspace, theta, data), order)
