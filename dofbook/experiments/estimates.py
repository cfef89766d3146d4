"""What cells will take: memory from shapes alone, time from stored cells or a short measurement.

Time is modelled as ``fixed + runs * (epochs * per_epoch + d * (once + epochs * per_dimension))``:
each epoch costs the network's part and, with explicit directions, a part that grows with d.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import nnls

from dofbook import training
from dofbook.experiments.building import build_subspace
from dofbook.experiments.cells import task_data, task_network, train_config
from dofbook.experiments.config import CellConfig
from dofbook.experiments.store import StoredCell
from dofbook.keys import Role, run_key
from dofbook.networks import FlatNetwork
from dofbook.subspaces import AffineSubspace, AxisAligned, Dense, Identity, directions
from dofbook.training.batched import (
    Batching,
    chunk_size,
    free_bytes,
    run_bytes,
    train_runs,
    tree_bytes,
)

PRIOR_SLOPE = 6e-4
"""per_dimension / per_epoch before cells of several d are stored; Conv-2 on MNIST on a CPU."""
_PROBE_STEPS, _PROBE_LARGEST, _PROBE_ENTRIES = 4, 1024, 2**26


@dataclass(frozen=True)
class Rates:
    """Hold the coefficients of the time model, in seconds.

    Args:
        fixed: Once per cell: mostly compilation.
        once: Per run and dimension: drawing the directions.
        per_epoch: Per run and epoch.
        per_dimension: Per run, epoch and dimension.
    """

    fixed: float
    once: float
    per_epoch: float
    per_dimension: float

    def seconds(self, cell: CellConfig) -> float:
        """Predict the wall time of a cell.

        Args:
            cell: The cell.

        Returns:
            Seconds.
        """
        runs, epochs, d = len(cell.seeds), cell.task.epochs, _explicit_dimension(cell)
        each = (epochs + _epochs_before(cell)) * self.per_epoch
        each += d * (self.once + epochs * self.per_dimension)
        return self.fixed + runs * each


@dataclass(frozen=True)
class Need:
    """Hold what a cell takes in steps and memory.

    Args:
        steps: Updates in all its runs, burn-in included.
        run_bytes: Memory of one run.
        together: Runs trained at once.
    """

    steps: int
    run_bytes: float
    together: int

    @property
    def bytes(self) -> float:
        """Memory of the runs trained at once."""
        return self.run_bytes * self.together


def _explicit_dimension(cell: CellConfig) -> int:
    """Give the d that costs time: structured directions and kept coordinates cost none."""
    explicit = cell.method in ("affine", "lottery_subspace") and cell.directions is None
    return (cell.d or 0) if explicit else 0


def _epochs_before(cell: CellConfig) -> int:
    """Count the epochs of full training that lottery methods make before their own."""
    if cell.method == "lottery_subspace":
        return cell.task.epochs
    if cell.method == "lottery_ticket":
        return cell.pruning.training_epochs * cell.pruning.iterations
    return 0


def subspace_shapes(cell: CellConfig, network: FlatNetwork) -> AffineSubspace:
    """Describe the subspace of a cell by shapes, without drawing it.

    Args:
        cell: The cell.
        network: The network of its task.

    Returns:
        The subspace with shapes in place of arrays.
    """
    D, d = network.D, cell.d
    if cell.method == "full":
        where = Identity(D)
    elif cell.method == "affine":
        kind = cell.directions or "dense"
        where = jax.eval_shape(lambda: directions(kind, jax.random.key(0), d, D))
    elif cell.method == "lottery_subspace":
        where = Dense(jax.ShapeDtypeStruct((d, D), jnp.float32))
    else:
        where = AxisAligned(jax.ShapeDtypeStruct((d,), jnp.int32), D)
    return AffineSubspace(jax.ShapeDtypeStruct((D,), jnp.float32), where)


def cell_need(
    cell: CellConfig, data_dir: str | None = None, batching: Batching | None = None
) -> Need:
    """Estimate the steps and the memory of a cell; nothing is trained or drawn.

    Args:
        cell: The cell.
        data_dir: Folder of official data files; see ``datasets.load``.
        batching: How its seeds go together.

    Returns:
        The estimate.
    """
    batching = batching or Batching()
    dataset, data = task_data(cell.task, data_dir)
    network = task_network(cell.task, dataset)
    config = train_config(cell)
    count, runs = len(dataset.y_train), len(cell.seeds)
    steps = config.epochs * training.steps_per_epoch(count, config.batch_size)
    needed = run_bytes(network, data, config, subspace_shapes(cell, network))
    together = 1
    if batching.batched:
        devices = jax.devices()
        free = min(map(free_bytes, devices))
        together = min(batching.chunk or chunk_size(runs, needed, free, len(devices)), runs)
    return Need(runs * (steps + cell.burn_in_steps), needed, together)


def data_bytes(cell: CellConfig, data_dir: str | None = None) -> int:
    """Count the memory of a task's data on the device.

    Args:
        cell: A cell of the task.
        data_dir: Folder of official data files.

    Returns:
        Bytes.
    """
    return tree_bytes(task_data(cell.task, data_dir)[1])


# --- from stored cells ---------------------------------------------------------------------


def kind(cell: CellConfig) -> tuple:
    """Name what the time of a cell depends on beside seeds, epochs and d.

    Args:
        cell: The cell.

    Returns:
        A key of ``fit_rates``.
    """
    task = cell.task
    return (
        task.dataset, task.network, task.train_size, task.test_size, task.batch_size, cell.method,
        cell.directions,
    )  # fmt: skip


def _device(cell: StoredCell) -> str:
    devices = (cell.provenance.get("environment") or {}).get("devices") or [{}]
    return str(devices[0])


def fit_rates(stored: Iterable[StoredCell]) -> dict[tuple, Rates]:
    """Fit the time model to the wall times of stored cells, for each kind of cell.

    Args:
        stored: Verified cells. Of each kind only those of the device used last count.

    Returns:
        Rates by kind; see ``predict``.
    """
    groups: dict[tuple, list[StoredCell]] = {}
    for cell in stored:
        if cell.provenance.get("wall_seconds") is not None:
            groups.setdefault(kind(cell.config), []).append(cell)
    rates = {}
    for key, cells in groups.items():
        latest = _device(max(cells, key=lambda cell: str(cell.provenance.get("started"))))
        rates[key] = _fit([cell for cell in cells if _device(cell) == latest])
    return rates


def _fit(cells: Sequence[StoredCell]) -> Rates:
    runs = np.array([len(c.config.seeds) for c in cells], float)
    own = runs * [c.config.task.epochs for c in cells]
    work = own + runs * [_epochs_before(c.config) for c in cells]
    d = np.array([_explicit_dimension(c.config) for c in cells], float)
    seconds = np.array([c.provenance["wall_seconds"] for c in cells], float)
    if len(set(d)) < 3 or len(cells) < 4:
        each = float(np.median(seconds / (work + own * PRIOR_SLOPE * d)))
        return Rates(0.0, 0.0, each, PRIOR_SLOPE * each)
    columns = np.stack([np.ones_like(work), work, own * d], axis=1) / seconds[:, None]
    scale = np.linalg.norm(columns, axis=0)  # relative errors, columns of equal size
    fixed, each, slope = nnls(columns / scale, np.ones_like(seconds))[0] / scale
    return Rates(float(fixed), 0.0, float(each), float(slope))


def predict(rates: dict[tuple, Rates], cells: Sequence[CellConfig]) -> float | None:
    """Predict the wall time of cells that follow each other.

    Args:
        rates: What ``fit_rates`` gave.
        cells: The cells.

    Returns:
        Seconds; None if nothing is known about one of them. Cells of another method take the
        rates of a method of the same task.
    """
    total = 0.0
    for cell in cells:
        key = kind(cell)
        near = [rates[key]] if key in rates else [r for k, r in rates.items() if k[:5] == key[:5]]
        if not near:
            return None
        total += near[0].seconds(cell)
    return total


def parallelism(stored: Iterable[StoredCell]) -> float:
    """Tell how many cells ran at a time, on average, while any ran.

    Args:
        stored: Verified cells, from one process or many, on one host or many.

    Returns:
        Sum of wall times over the length of their union, at least 1. Clocks of hosts that differ
        shift the estimate, never a result.
    """
    spans = []
    for cell in stored:
        started, seconds = (cell.provenance.get(key) for key in ("started", "wall_seconds"))
        if started and seconds:
            begin = datetime.fromisoformat(started).timestamp()
            spans.append((begin, begin + seconds))
    covered, end = 0.0, -np.inf
    for begin, stop in sorted(spans):
        covered += max(stop - max(begin, end), 0.0)
        end = max(end, stop)
    return max(sum(stop - begin for begin, stop in spans) / covered, 1.0) if covered else 1.0


# --- from a short measurement --------------------------------------------------------------


def measure_rates(
    cell: CellConfig, largest: int, data_dir: str | None = None, batching: Batching | None = None
) -> Rates:
    """Time a few steps at a small and a large d on this machine.

    Args:
        cell: A cell of the task; its seeds are trained together as ``batching`` says.
        largest: Largest d of the sweep; at most 1024 is timed, the rest is extrapolated.
        data_dir: Folder of official data files.
        batching: How seeds go together.

    Returns:
        The rates of random affine subspaces of the task, without burn-in.
    """
    dataset, data = task_data(cell.task, data_dir)
    network = task_network(cell.task, dataset)
    task = replace(cell.task, epochs=1, checkpoints_per_epoch=1)
    seeds = cell.seeds if (batching or Batching()).batched else cell.seeds[:1]
    high = min(largest, _PROBE_LARGEST, max(_PROBE_ENTRIES // network.D, 1), network.D)
    probes = [
        replace(cell, task=task, method="affine", d=d, burn_in_steps=0, seeds=seeds, lottery=None,
                pruning=None, directions=cell.directions if cell.method == "affine" else None)
        for d in sorted({min(4, high), high})
    ]  # fmt: skip
    few = _some(data, _PROBE_STEPS * task.batch_size)
    per_image = _time(lambda: training.evaluate(network, few, jnp.zeros(network.D)))[1] / (
        len(few.x_train) + len(few.x_test)
    )
    times = [_time_probe(probe, network, few, per_image, batching) for probe in probes]
    per_step, fixed = times[0][0], max(first for _, first, _ in times)
    rise = max(times[-1][0] - per_step, 0.0) / max(probes[-1].d - probes[0].d, 1)
    steps = training.steps_per_epoch(len(data.x_train), task.batch_size)
    images = (len(data.x_train) + len(data.x_test)) * cell.task.checkpoints_per_epoch
    each = steps * max(per_step - rise * probes[0].d, 0.0) + images * per_image
    return Rates(fixed, times[-1][2] / probes[-1].d, each, steps * rise)


def _some(data: training.DeviceData, count: int) -> training.DeviceData:
    few = min(count, len(data.x_train))
    return training.DeviceData(
        data.x_train[:few], data.y_train[:few], data.x_test[:few], data.y_test[:few]
    )


def _time(run) -> tuple[float, float]:
    """Time the first and the second call."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return times[0], times[1]


def _time_probe(probe, network, data, per_image, batching) -> tuple[float, float, float]:
    """Return seconds per run and step, seconds of the first call, seconds to draw one subspace."""
    drawn = _time(lambda: build_subspace(probe, network, data, probe.seeds[0]))[1]
    ready = [build_subspace(probe, network, data, seed) for seed in probe.seeds]
    keys = [run_key(seed, Role.SUBSPACE_BATCHES) for seed in probe.seeds]
    config = train_config(probe)
    nothing = jnp.zeros(4)

    def run():
        train_runs(
            network, data, lambda i: ready[i], keys, config, batching, lambda subspace: nothing
        )

    first, second = _time(run)
    images = len(data.x_train) + len(data.x_test)
    steps = training.steps_per_epoch(len(data.x_train), config.batch_size)
    return max(second / len(ready) - images * per_image, 0.0) / steps, first - second, drawn
