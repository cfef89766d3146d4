"""What cells will take: memory from shapes alone, time from a short measurement."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp

from dofbook.experiments.config import Cell, CellConfig
from dofbook.experiments.timing import Rates
from dofbook.keys import Role, run_key
from dofbook.methods import Method, RandomAffine
from dofbook.subspaces import AffineSubspace
from dofbook.training import Batching, Task, evaluate, make_task, train_runs
from dofbook.training.batched import chunk_size, free_bytes, run_bytes, tree_bytes

_PROBE_STEPS, _PROBE_LARGEST, _PROBE_ENTRIES = 4, 1024, 2**26
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Need:
    """Hold the updates in all of a cell's runs, one run's memory, and how many go together."""

    steps: int
    run_bytes: float
    together: int

    @property
    def bytes(self) -> float:
        """Memory of the runs trained at once."""
        return self.run_bytes * self.together


def cell_need(cell: Cell, data_dir: str | None = None, batching: Batching | None = None) -> Need:
    """Estimate what a cell takes, burn-in included; nothing is trained or drawn.

    >>> from dofbook.training import TaskConfig
    >>> cell_need(CellConfig(task=TaskConfig("digits", "mlp", epochs=2), d=4)).steps
    24
    """
    batching, task, work = batching or Batching(), make_task(cell.task, data_dir), cell.work()
    steps = round((work.epochs + work.before) * task.steps_per_epoch)
    if not isinstance(cell, CellConfig):
        return Need(work.runs * steps, 4.0 * task.network.D * task.steps, 1)
    method, D, together = cell.method, task.network.D, 1
    needed = run_bytes(task, method.shapes(cell.d or D, D))
    if batching.batched:
        devices = jax.devices()
        fitting = chunk_size(work.runs, needed, min(map(free_bytes, devices)), len(devices))
        together = min(batching.chunk or fitting, work.runs)
    return Need(work.runs * (task.steps + method.t), needed, together)


def data_bytes(cell: Cell, data_dir: str | None = None) -> int:
    """Count the memory of a task's data on the device."""
    return tree_bytes(make_task(cell.task, data_dir).arrays)


def measure_rates(
    cell: Cell, largest: int, data_dir: str | None = None, batching: Batching | None = None
) -> Rates:
    """Time a few steps of a cell at a small and a large d on this machine, without burn-in.

    ``largest`` is the largest d of the sweep; at most 1024 is timed, the rest is extrapolated.
    """
    task = make_task(cell.task, data_dir)
    D, part = task.network.D, slice(_PROBE_STEPS * task.batch_size)
    arrays = {name: getattr(task.data, name)[part] for name in _ARRAYS}
    few = replace(task, data=replace(task.data, **arrays), epochs=1, checkpoints_per_epoch=1)
    seeds = cell.seeds if (batching or Batching()).batched else cell.seeds[:1]
    high = min(largest, _PROBE_LARGEST, max(_PROBE_ENTRIES // D, 1), D)
    low = min(4, high)
    method: Method = getattr(cell, "method", RandomAffine())
    per_example = _time(lambda: evaluate(few, jnp.zeros(D)))[1] / _examples(few)
    keys = [run_key(seed, Role.SUBSPACE_BATCHES) for seed in seeds]
    nothing = jnp.zeros(len(few.objective.metric_names))

    def probe(d: int) -> tuple[float, float, float]:
        """Give seconds per run and step, of a first call beyond a later one, and to fill A once."""

        def drawn(seed: int) -> AffineSubspace:
            return AffineSubspace(few.initialization(seed), method.directions_like(d, D))

        once, ready = _time(lambda: drawn(seeds[0]))[1], [drawn(seed) for seed in seeds]
        first, second = _time(
            lambda: train_runs(few, lambda i: ready[i], keys, None, batching, lambda _: nothing)
        )
        spent = second / len(ready) - _examples(few) * per_example
        return max(spent, 0.0) / few.steps_per_epoch, first - second, once

    times = [probe(d) for d in sorted({low, high})]
    per_step, (most, _, once) = times[0][0], times[-1]
    fixed = max(0.0, *(first for _, first, _ in times))  # a second call may be the slower one
    rise = max(most - per_step, 0.0) / max(high - low, 1)
    seen = _examples(task) * task.checkpoints_per_epoch
    each = task.steps_per_epoch * max(per_step - rise * low, 0.0) + seen * per_example
    return Rates(fixed, once / high, each, task.steps_per_epoch * rise)


def _examples(task: Task) -> int:
    return len(task.data.y_train) + len(task.data.y_test)


def _time(run: Callable) -> tuple[float, float]:
    """Time the first and the second call."""
    clock = [time.perf_counter()]
    for _ in range(2):
        jax.block_until_ready(run())
        clock.append(time.perf_counter())
    return clock[1] - clock[0], clock[2] - clock[1]
