"""Run one cell: build the subspace of each seed, train in it, and tabulate what happened."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from dofbook.datasets import Dataset, load, subset
from dofbook.errors import InputError
from dofbook.experiments.building import build_subspace, run_columns, subspace_optimizer, variant
from dofbook.experiments.config import CellConfig, TaskConfig
from dofbook.keys import Role, run_key
from dofbook.networks import FlatNetwork, flat_network
from dofbook.subspaces import AffineSubspace
from dofbook.training import DeviceData, History, TrainConfig, evaluate, put
from dofbook.training.batched import Batching, train_runs

METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


@lru_cache(maxsize=1)
def _task_data(
    name: str, train_size: int | None, test_size: int | None, data_dir: str | None
) -> tuple[Dataset, DeviceData]:
    dataset = load(name, data_dir)
    if train_size is not None or test_size is not None:
        dataset = subset(dataset, train_size, test_size)
    return dataset, put(dataset)


def task_data(task: TaskConfig, data_dir: str | None = None) -> tuple[Dataset, DeviceData]:
    """Load the data of a task and copy it to the device; the last one asked for is kept.

    Args:
        task: The task, which names the data set and the sizes of its subset.
        data_dir: Folder of official files; see ``datasets.load``.

    Returns:
        The data set on the host and on the device.

    Raises:
        InputError: If the data set cannot be had or is smaller than asked.
    """
    return _task_data(task.dataset, task.train_size, task.test_size, data_dir)


def task_network(task: TaskConfig, dataset: Dataset) -> FlatNetwork:
    """Build the network of a task for the shapes of its data.

    Args:
        task: The task.
        dataset: Its data.

    Returns:
        The network as a function of its flat weights.
    """
    shape = tuple(dataset.image_shape)
    return flat_network(task.network, shape, dataset.num_classes, task.pooling)


def train_config(cell: CellConfig) -> TrainConfig:
    """Read off how a cell trains inside its subspaces.

    Args:
        cell: The cell.

    Returns:
        Epochs, batches, checkpoints and optimizer.
    """
    task = cell.task
    optimizer = subspace_optimizer(cell)
    return TrainConfig(task.epochs, task.batch_size, task.checkpoints_per_epoch, optimizer)


@lru_cache(maxsize=64)
def _at_offset(task: TaskConfig, data_dir: str | None, offset: bytes) -> jax.Array:
    """Evaluate an offset; cells that differ in d alone share it."""
    dataset, data = task_data(task, data_dir)
    return evaluate(task_network(task, dataset), data, jnp.frombuffer(offset, jnp.float32))


def _rows(history: History, seed: int) -> pd.DataFrame:
    """Tabulate one run; "best" is the best value at this checkpoint or an earlier one."""
    frame = pd.DataFrame({"seed": seed, **history._asdict()})
    for metric in METRICS:
        best = np.fmin.accumulate if metric.endswith("loss") else np.fmax.accumulate
        frame[f"best_{metric}"] = best(frame[metric].to_numpy())
    return frame


def _constants(cell: CellConfig, dataset: Dataset, network: FlatNetwork) -> dict[str, object]:
    """List the columns that are the same in all rows of a cell."""
    task, optimizer = cell.task, subspace_optimizer(cell)
    return {
        "cell": cell.name,
        "dataset": task.dataset,
        "network": task.network,
        "pooling": task.pooling,
        "method": cell.method,
        "burn_in_steps": cell.burn_in_steps,
        "variant": variant(cell),
        "nested": cell.nested,
        "d": network.D if cell.d is None else cell.d,
        "D": network.D,
        "optimizer": optimizer.name,
        "bias_correction": optimizer.bias_correction,
        "learning_rate": optimizer.learning_rate,
        "epochs": task.epochs,
        "batch_size": task.batch_size,
        "train_images": len(dataset.y_train),
        "test_images": len(dataset.y_test),
    }


def run_cell(
    cell: CellConfig, data_dir: str | None = None, batching: Batching | None = None
) -> pd.DataFrame:
    """Train every seed of a cell.

    Args:
        cell: What to run.
        data_dir: Folder of official files; see ``datasets.load``.
        batching: How the seeds go together; see ``runs.Batching``.

    Returns:
        The tidy rows, one per run and checkpoint (columns as in ``results/columns.md``). They
        depend on the cell alone, not on what ran before or beside it.

    Raises:
        InputError: If d exceeds the network's number of parameters, or the data cannot be had.
    """
    task = cell.task
    dataset, data = task_data(task, data_dir)
    network = task_network(task, dataset)
    if cell.d is not None and cell.d > network.D:
        raise InputError(
            f"d is {cell.d}, but {task.network} on {task.dataset} has only D = {network.D} "
            "parameters."
        )
    config, columns = train_config(cell), {}

    def build(run: int) -> AffineSubspace:
        subspace = build_subspace(cell, network, data, cell.seeds[run])
        columns[run] = run_columns(cell, network, data, subspace)
        return subspace

    def at_offset(subspace: AffineSubspace) -> jax.Array:
        return _at_offset(task, data_dir, np.asarray(subspace.offset).tobytes())

    keys = [run_key(seed, Role.SUBSPACE_BATCHES) for seed in cell.seeds]
    histories = train_runs(network, data, build, keys, config, batching, at_offset)
    frames = [
        _rows(history, seed).assign(**columns[run])
        for run, (seed, history) in enumerate(zip(cell.seeds, histories, strict=True))
    ]
    rows = pd.concat(frames, ignore_index=True)
    constants = pd.DataFrame(_constants(cell, dataset, network), index=rows.index)
    rows = pd.concat([constants, rows], axis=1)
    used = batching or Batching()
    rows.attrs["batching"] = {"batched": used.batched, "precision": used.precision}
    return rows
