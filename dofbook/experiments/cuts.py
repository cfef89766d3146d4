"""Cuts of the test loss through w0 and two optima, of a network and its linearization: Fig. 9."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from dofbook import methods
from dofbook.experiments.cells import task_data
from dofbook.experiments.config import TaskConfig
from dofbook.experiments.ntk import NtkSweep, linear_network, optimum
from dofbook.experiments.publishing import check_table_path, publish
from dofbook.landscape import plane_through, slice_metrics
from dofbook.landscape.linearization import linearize
from dofbook.provenance import environment
from dofbook.training import DeviceData

PLACES = ("w0", "optimum 1", "optimum 2")
"""The points that span the plane, as the column ``place`` names them."""

MARGIN = 0.35  # of the longer side of the points' box, on all four sides


def cut(
    task: TaskConfig,
    seed: int,
    optimum_steps: int,
    grid: int = 21,
    data_dir: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Evaluate a network and its linearization in the plane through w0 and two optima.

    Optimum 1 is trained from w0, and the linearization is around it. Optimum 2 is trained from the
    initialization of the next seed: from the same w0 it would nearly coincide with optimum 1.

    Args:
        task: Data and network.
        seed: Seed of w0 and optimum 1.
        optimum_steps: Steps of full-space training to each optimum.
        grid: Points along each side.
        data_dir: Folder of official files; see ``datasets.load``.
        progress: Whether to show a progress line (never outside a terminal).

    Returns:
        One row per model ("network", "linearized") and point: dataset, network, seed, model,
        place ("grid" or one of ``PLACES``), x and y (distances from w0 in weight space),
        test_loss, test_accuracy.

    Raises:
        InputError: If the data cannot be had.

    Source: Larsen et al. (2022), Fig. 9, left and middle.
    """
    dataset, data = task_data(task, data_dir)
    test_only = DeviceData(data.x_test, data.y_test, data.x_test[:1], data.y_test[:1])
    network = linear_network(task, dataset)
    w0 = methods.initialization(network, seed)
    first, second = (optimum(task, s, optimum_steps, data_dir) for s in (seed, seed + 1))
    plane = plane_through(*(np.asarray(w) for w in (w0, first, second)))
    corners = np.array([plane.coordinates(np.asarray(w)) for w in (w0, first, second)])
    lines = _lines(corners, grid)
    models = {"network": network, "linearized": linearize(network, first)}
    parts = [(name, *line) for name in models for line in lines]
    rows = []
    for name, place, x, y in tqdm(parts, unit="row", disable=None if progress else True):
        loss, accuracy = slice_metrics(models[name], test_only, plane, x, np.array([y]))[0, :, :2].T
        columns = {"model": name, "place": place, "x": x, "y": y}
        rows.append(pd.DataFrame(columns | {"test_loss": loss, "test_accuracy": accuracy}))
    rows = pd.concat(rows, ignore_index=True)
    constants = {"dataset": task.dataset, "network": task.network, "seed": seed}
    return pd.concat([pd.DataFrame(constants, index=rows.index), rows], axis=1)


def _lines(corners: np.ndarray, grid: int) -> list[tuple[str, np.ndarray, float]]:
    """List what to evaluate, as (place, values of x, y): the grid row by row, then the corners."""
    low, high = corners.min(0), corners.max(0)
    margin = MARGIN * (high - low).max()
    x, y = np.linspace(low - margin, high + margin, grid, axis=1)
    at_corners = [
        (place, corner[:1], corner[1]) for place, corner in zip(PLACES, corners, strict=True)
    ]
    return [("grid", x, b) for b in y] + at_corners


def write_cuts(
    path: Path | str, sweeps: Sequence[NtkSweep], grid: int = 21, data_dir: str | None = None
) -> int:
    """Compute the cut of the first seed of each sweep and publish them as one table.

    Args:
        path: The Parquet file; ``<name>.provenance.json`` is written too.
        sweeps: One data set each.
        grid: Points along each side.
        data_dir: Folder of official files; see ``datasets.load``.

    Returns:
        Number of rows.

    Raises:
        InputError: If the path cannot be a table's or the data cannot be had.
        StoreError: If the files cannot be written.
    """
    check_table_path(Path(path))
    start, parts, datasets, cuts = time.perf_counter(), [], [], []
    for sweep in sweeps:
        dataset, _ = task_data(sweep.task, data_dir)
        steps = sweep.optimum_steps(len(dataset.y_train))
        parts.append(cut(sweep.task, sweep.seeds[0], steps, grid, data_dir))
        datasets.append({"source": dataset.source, "fingerprint": dataset.fingerprint})
        cuts.append({"task": asdict(sweep.task), "optimum_steps": steps, "grid": grid})
    origin = {
        "schema": 1,
        "wall_seconds": time.perf_counter() - start,
        "seeds": sorted({sweep.seeds[0] for sweep in sweeps}),
        "environments": [environment()],
        "datasets": datasets,
        "cuts": cuts,
    }
    table = pa.Table.from_pandas(pd.concat(parts, ignore_index=True), preserve_index=False)
    return publish(Path(path), table, origin)
