"""Spectra of full-training trajectories as one published table: Figs. 10 and 11 of the paper."""

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from dofbook.experiments.cells import task_data, task_network
from dofbook.experiments.config import SCHEMA_VERSION, SweepConfig, TaskConfig
from dofbook.experiments.publishing import publish
from dofbook.methods.trajectories import Basis, LotteryConfig, record, spectrum, trajectory_steps
from dofbook.provenance import environment


def spectra(
    task: TaskConfig,
    seeds: tuple[int, ...],
    lottery: LotteryConfig | None = None,
    data_dir: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train in the full space and decompose the path, in every basis.

    Args:
        task: Data, network and training.
        seeds: One trajectory per seed.
        lottery: Spacing and length of the trajectory; its basis is not used.
        data_dir: Folder of official data files; see ``datasets.load``.
        progress: Whether to show a progress line (never shown outside a terminal).

    Returns:
        One row per seed, basis and index (from 1): dataset, network, seed, basis, index,
        singular_value.

    Raises:
        InputError: If the data cannot be had or the training is too short for the spacing.
    """
    lottery = lottery or LotteryConfig()
    dataset, data = task_data(task, data_dir)
    network = task_network(task, dataset)
    steps = trajectory_steps(lottery, task.epochs, len(dataset.y_train), task.batch_size)
    parts = []
    for seed in tqdm(seeds, unit="trajectory", disable=None if progress else True):
        points = record(
            network, data, seed, lottery, steps, task.batch_size, task.burn_in_optimizer
        )
        for basis in get_args(Basis):
            values = spectrum(points, basis).singular_values
            names = {"dataset": task.dataset, "network": task.network, "seed": seed}
            index = range(1, len(values) + 1)
            columns = {**names, "basis": basis, "index": index, "singular_value": values}
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def write_spectra(path: Path, config: SweepConfig, data_dir: str | None = None) -> int:
    """Compute spectra and write them as Parquet, with their origin beside them.

    Args:
        path: The Parquet file; ``<name>.provenance.json`` is written beside it.
        config: Task, seeds and trajectory, as of a sweep of lottery subspaces.
        data_dir: Folder of official data files; see ``datasets.load``.

    Returns:
        Number of rows.

    Raises:
        InputError: As ``spectra``.
        StoreError: If the files cannot be written.
    """
    start = time.perf_counter()
    seeds = tuple(range(config.first_seed, config.first_seed + config.runs))
    lottery = replace(config.lottery or LotteryConfig(), basis="increments")
    rows = spectra(config.task, seeds, lottery, data_dir)
    table = pa.Table.from_pandas(rows, preserve_index=False)
    dataset, _ = task_data(config.task, data_dir)
    origin = {
        "schema": SCHEMA_VERSION,
        "wall_seconds": time.perf_counter() - start,
        "seeds": list(seeds),
        "environments": [environment()],
        "datasets": [{"source": dataset.source, "fingerprint": dataset.fingerprint}],
        "task": asdict(config.task),
        "trajectory": {name: v for name, v in asdict(lottery).items() if name != "basis"},
    }
    return publish(path, table, origin, {"dofbook.schema": str(SCHEMA_VERSION)})
