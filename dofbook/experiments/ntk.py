"""The experiment of Fig. 9: the same subspaces in a network and in its linearization.

A cell is one seed in one subspace (or, for exact minima, in a chain of nested ones). Its result is
one small file, named by the hash of its configuration, whole or absent; so an interrupted run goes
on where it was. Both models start from w0, move in the same directions and see the same batches.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import jax
import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from dofbook import methods
from dofbook.errors import InputError
from dofbook.experiments.cells import task_data, task_network
from dofbook.experiments.config import TaskConfig
from dofbook.experiments.profiles import octaves
from dofbook.experiments.publishing import publish
from dofbook.experiments.store import DamagedCell, seal, unseal, write_atomically
from dofbook.keys import Role, run_key
from dofbook.landscape import convex
from dofbook.landscape.linearization import carry, carrying, jacobian_products
from dofbook.networks import FlatNetwork, flat_network
from dofbook.provenance import environment
from dofbook.subspaces import AffineSubspace, gaussian
from dofbook.training import TrainConfig, burn_in, evaluate, steps_per_epoch, train

Model = Literal["network", "linearized", "exact"]
METHODS = {"network": "affine", "linearized": "linearized", "exact": "linearized_exact"}
"""What the tables call each model; ``success`` and ``figures`` tell curves apart by it."""

METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class NtkCell:
    """Describe one cell.

    Args:
        task: Data, network and training inside the subspace.
        model: "network"; "linearized", trained as the network is; or "exact", the minimum of the
            linearized training loss.
        seed: Seed of initialization, directions, batches and optimum.
        dims: Training dimensions: one, or for "exact" a chain of nested subspaces.
        optimum_steps: Steps of full-space training, w0 to w_opt.
        centre_steps: The linearization is around w_t after so many of them; None for w_opt.

    Raises:
        InputError: If a value is not allowed.
    """

    task: TaskConfig
    model: Model
    seed: int
    dims: tuple[int, ...]
    optimum_steps: int
    centre_steps: int | None = None

    def __post_init__(self):
        if self.model not in get_args(Model):
            raise InputError(f"model is {self.model!r}; allowed: {', '.join(get_args(Model))}.")
        chain = self.model == "exact"
        if not self.dims or min(self.dims) < 1 or list(self.dims) != sorted(set(self.dims)):
            raise InputError(f"dims is {self.dims}; it must be increasing numbers of at least 1.")
        if len(self.dims) > 1 and not chain:
            raise InputError(f"dims is {self.dims}; a cell that trains has a single one.")
        if self.seed < 0 or self.optimum_steps < 1:
            raise InputError("seed must be at least 0 and optimum_steps at least 1.")
        if self.centre_steps is not None and (
            self.model == "network" or not 0 <= self.centre_steps <= self.optimum_steps
        ):
            raise InputError(
                f"centre_steps is {self.centre_steps}; it belongs to linearized models and lies "
                f"between 0 and optimum_steps = {self.optimum_steps}."
            )

    @property
    def json(self) -> str:
        """Configuration as one line of JSON with sorted keys."""
        content = {"ntk_schema": SCHEMA_VERSION, **asdict(self)}
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @property
    def name(self) -> str:
        """Hash that names the cell's file."""
        return hashlib.sha256(self.json.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class NtkSweep:
    """Describe the experiment on one data set.

    Args:
        task: Data, network and training inside the subspaces.
        seeds: One network, optimum and chain of nested subspaces each.
        dims: Training dimensions.
        optimum_epochs: Epochs of full-space training to the optimum.
        exact_dims: Dimensions of the exact minima; empty for none.
        centres: Further centres w_t, in steps.
        centre_dims: Training dimensions used with these.
    """

    task: TaskConfig = field(default_factory=TaskConfig)
    seeds: tuple[int, ...] = (0, 1, 2)
    dims: tuple[int, ...] = octaves(512, 8)
    optimum_epochs: int = 40
    exact_dims: tuple[int, ...] = ()
    centres: tuple[int, ...] = ()
    centre_dims: tuple[int, ...] = ()

    def optimum_steps(self, train_images: int) -> int:
        """Count the steps of full-space training, w0 to w_opt.

        Args:
            train_images: Number of training images, which sets the steps of an epoch.

        Returns:
            Updates.
        """
        return self.optimum_epochs * steps_per_epoch(train_images, self.task.batch_size)

    def cells(self, train_images: int) -> list[NtkCell]:
        """List the cells, seed by seed.

        Args:
            train_images: Number of training images, which sets the steps of an epoch.

        Returns:
            One configuration per cell.
        """
        steps = self.optimum_steps(train_images)
        cells = []
        for seed in self.seeds:
            base = NtkCell(self.task, "network", seed, (1,), steps)
            models = [replace(base, model=model) for model in ("network", "linearized")]
            cells += [replace(cell, dims=(d,)) for d in self.dims for cell in models]
            cells += [
                replace(models[1], dims=(d,), centre_steps=t)
                for t in self.centres
                for d in self.centre_dims
            ]
            if self.exact_dims:
                cells.append(replace(base, model="exact", dims=self.exact_dims))
        return cells


PROFILES = {
    # A minute and a half on two cores.
    "reduced": (
        NtkSweep(
            TaskConfig(dataset="digits", epochs=20),
            dims=(32, 64, *octaves(512, 128, 2**0.5)),
            exact_dims=octaves(256, 16, 2**0.25),
            centres=(0, 12, 48),
            centre_dims=(128, 256, 512),
        ),
    ),
    # The two rows of the paper's Fig. 9.
    "paper": tuple(
        NtkSweep(
            TaskConfig(dataset=name), seeds=tuple(range(10)), dims=octaves(4096), optimum_epochs=3
        )
        for name in ("mnist", "fashion_mnist")
    ),
}


# --- one cell -------------------------------------------------------------------------------------


def linear_network(task: TaskConfig, dataset) -> FlatNetwork:
    """Build the network of a task with a forward mode; the same function of the same weights.

    Args:
        task: The task.
        dataset: Its data.

    Returns:
        The network, to be linearized.
    """
    shape = tuple(dataset.image_shape)
    return flat_network(task.network, shape, dataset.num_classes, task.pooling, "linear")


@lru_cache(maxsize=4)
def optimum(task: TaskConfig, seed: int, steps: int, data_dir: str | None = None, order: int = 0):
    """Train in the full space from w0, by the burn-in optimizer of the task.

    Args:
        task: The task.
        seed: Seed of the initialization.
        steps: Updates; fewer reach an earlier point of the same trajectory.
        data_dir: Folder of official files; see ``datasets.load``.
        order: Number of the trajectory: each sees the batches in another order.

    Returns:
        The weights reached, (D,).
    """
    dataset, data = task_data(task, data_dir)
    network = task_network(task, dataset)
    key = run_key(seed, Role.BURN_IN_BATCHES, *([order] if order else []))
    w0 = methods.initialization(network, seed)
    return burn_in(network, data, w0, key, steps, task.batch_size, task.burn_in_optimizer)


def subspace(network: FlatNetwork, seed: int, d: int) -> AffineSubspace:
    """Lay the random subspace of a seed through w0; those of one seed are nested in d.

    Args:
        network: The flat network.
        seed: Seed of the run.
        d: Training dimension.

    Returns:
        w0 + span(A).
    """
    directions = gaussian(run_key(seed, Role.DIRECTIONS), d, network.D)
    return AffineSubspace(methods.initialization(network, seed), directions)


def exact_minima(cell: NtkCell, data_dir: str | None = None) -> pd.DataFrame:
    """Minimise the linearized training loss in a chain of nested subspaces.

    Args:
        cell: A cell of model "exact".
        data_dir: Folder of official files; see ``datasets.load``.

    Returns:
        One row per d: the four metrics at the minimum, gradient norm, estimated gap, Newton steps.
    """
    dataset, data = task_data(cell.task, data_dir)
    network = linear_network(cell.task, dataset)
    place = subspace(network, cell.seed, cell.dims[-1])
    centre = _centre(cell, data_dir)
    linear = carrying(network)
    start = carry(place, centre).offset
    apply = jax.jit(linear.apply)
    problem = convex.LinearLogits(
        np.asarray(apply(start, data.x_train), np.float64),
        jacobian_products(network, centre, place.directions.rows, data.x_train),
        np.asarray(data.y_train),
    )
    rows = []
    for d, found in zip(cell.dims, convex.nested_minima(problem, cell.dims), strict=True):
        part = carry(subspace(network, cell.seed, d), centre)
        metrics = evaluate(linear, data, part.point(np.asarray(found.theta, np.float32)))
        metrics = dict(zip(METRICS, np.asarray(metrics, np.float64), strict=True))
        metrics["train_loss"] = found.loss  # in double precision
        rows.append(
            {"d": d, "step": 0, "epoch": 0.0, **metrics, "gradient_norm": found.gradient_norm,
             "gap": found.gap, "newton_steps": found.steps}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _centre(cell: NtkCell, data_dir: str | None) -> jax.Array:
    steps = cell.optimum_steps if cell.centre_steps is None else cell.centre_steps
    return optimum(cell.task, cell.seed, steps, data_dir)


def _train(cell: NtkCell, data_dir: str | None) -> pd.DataFrame:
    dataset, data = task_data(cell.task, data_dir)
    network = task_network(cell.task, dataset)
    place = subspace(network, cell.seed, cell.dims[0])
    if cell.model == "linearized":
        network = carrying(linear_network(cell.task, dataset))
        place = carry(place, _centre(cell, data_dir))
    task = cell.task
    config = TrainConfig(task.epochs, task.batch_size, task.checkpoints_per_epoch, task.optimizer)
    history = train(network, data, place, run_key(cell.seed, Role.SUBSPACE_BATCHES), config).history
    return pd.DataFrame({"d": cell.dims[0], **history._asdict()})


def run_cell(cell: NtkCell, data_dir: str | None = None) -> pd.DataFrame:
    """Compute the rows of a cell.

    Args:
        cell: What to run.
        data_dir: Folder of official files; see ``datasets.load``.

    Returns:
        Tidy rows, one per checkpoint (for "exact" one per d), fit for ``success`` and ``figures``.
    """
    rows = exact_minima(cell, data_dir) if cell.model == "exact" else _train(cell, data_dir)
    for metric in METRICS:
        best = np.fmin.accumulate if metric.endswith("loss") else np.fmax.accumulate
        rows[f"best_{metric}"] = rows.groupby("d")[metric].transform(best)
    dataset, _ = task_data(cell.task, data_dir)
    at = cell.centre_steps
    constants = {
        "cell": cell.name, "dataset": cell.task.dataset, "network": cell.task.network,
        "method": METHODS[cell.model], "burn_in_steps": 0,
        "variant": "" if at is None else f"around step {at}",
        "nested": True, "seed": cell.seed, "D": task_network(cell.task, dataset).D,
        "epochs": cell.task.epochs, "train_images": len(dataset.y_train),
    }  # fmt: skip
    return pd.concat([pd.DataFrame(constants, index=rows.index), rows], axis=1)


# --- files ----------------------------------------------------------------------------------------


def _read(folder: Path, cell: NtkCell) -> tuple[pd.DataFrame, dict] | None:
    """Read a cell's file; None if it is absent, not whole or altered."""
    try:
        table, metadata = unseal((folder / f"{cell.name}.parquet").read_bytes())
    except (OSError, DamagedCell):
        return None
    if metadata.get("dofbook.ntk_config") != cell.json:
        return None
    return table.to_pandas(), json.loads(metadata["dofbook.provenance"])


def _check_data(present: Iterable[dict], task: TaskConfig, data_dir: str | None) -> None:
    """Refuse to go on with other data than what is there was computed from."""
    dataset, _ = task_data(task, data_dir)
    if any(origin["dataset"]["fingerprint"] != dataset.fingerprint for origin in present):
        raise InputError(
            f"cells in the folder were computed from other {task.dataset} data than "
            f"{dataset.source}; use another folder or the same data."
        )


def run_cells(
    cells: Sequence[NtkCell],
    folder: Path | str,
    data_dir: str | None = None,
    progress: bool = True,
) -> int:
    """Bring a folder to hold every cell: what is there is kept, the rest computed.

    Args:
        cells: The cells.
        folder: One file per cell.
        data_dir: Folder of official files; see ``datasets.load``.
        progress: Whether to show a progress line (never outside a terminal).

    Returns:
        Number of cells computed now.

    Raises:
        InputError: If the data cannot be had, or are not those of the cells that are there.
        StoreError: If a file cannot be written.
    """
    folder = Path(folder)
    found = {cell: _read(folder, cell) for cell in cells}
    missing = [cell for cell in cells if found[cell] is None]
    for task in {cell.task for cell in missing}:
        there = [read[1] for cell, read in found.items() if read and cell.task == task]
        _check_data(there, task, data_dir)
    for cell in tqdm(missing, unit="cell", disable=None if progress else True):
        start = time.perf_counter()
        dataset, _ = task_data(cell.task, data_dir)
        rows = run_cell(cell, data_dir)
        provenance = {
            "environment": environment(),
            "dataset": {"source": dataset.source, "fingerprint": dataset.fingerprint},
            "wall_seconds": time.perf_counter() - start,
        }
        metadata = {
            "dofbook.ntk_config": cell.json,
            "dofbook.provenance": json.dumps(provenance, sort_keys=True),
        }
        table = pa.Table.from_pandas(rows, preserve_index=False)
        write_atomically(folder / f"{cell.name}.parquet", seal(table, metadata))
    return len(missing)


def _found(cells: Sequence[NtkCell], folder: Path) -> Iterator[tuple[pd.DataFrame, dict]]:
    for cell in cells:
        if (found := _read(folder, cell)) is not None:
            yield found


def read_table(cells: Sequence[NtkCell], folder: Path | str) -> pd.DataFrame:
    """Join the cells that are there into one table.

    Args:
        cells: The cells wanted; those without a file are left out.
        folder: One file per cell.

    Returns:
        One row per run and checkpoint.

    Raises:
        InputError: If none is there.
    """
    frames = [rows for rows, _ in _found(cells, Path(folder))]
    if not frames:
        raise InputError(f"{folder} holds none of the cells asked for.")
    order = ["dataset", "method", "variant", "seed", "d", "step"]
    return pd.concat(frames, ignore_index=True).sort_values(order, ignore_index=True)


def describe(cells: Sequence[NtkCell], folder: Path | str) -> dict:
    """Say where the cells of a folder come from.

    Args:
        cells: The cells wanted; those without a file are left out.
        folder: One file per cell.

    Returns:
        Number of cells, seeds, total wall time in seconds, distinct environments and data
        sources, and every cell's configuration by its hash, ready for JSON.
    """
    present = [(cell, found) for cell in cells if (found := _read(Path(folder), cell)) is not None]
    origins = [origin for _, (_, origin) in present]

    def distinct(name):
        texts = sorted({json.dumps(origin[name], sort_keys=True) for origin in origins})
        return [json.loads(text) for text in texts]

    return {
        "schema": SCHEMA_VERSION,
        "number": len(present),
        "seeds": sorted({cell.seed for cell, _ in present}),
        "wall_seconds": sum(origin["wall_seconds"] for origin in origins),
        "environments": distinct("environment"),
        "datasets": distinct("dataset"),
        "cells": {cell.name: json.loads(cell.json) for cell, _ in present},
    }


def write_table(cells: Sequence[NtkCell], folder: Path | str, path: Path | str) -> int:
    """Publish the cells that are there as one table, its origin beside it.

    Args:
        cells: The cells wanted.
        folder: One file per cell.
        path: The Parquet file; ``<path>.provenance.json`` is written too.

    Returns:
        Number of rows.

    Raises:
        InputError: If no cell is there.
        StoreError: If the files cannot be written.
    """
    table = pa.Table.from_pandas(read_table(cells, folder), preserve_index=False)
    return publish(Path(path), table, describe(cells, folder))


def sweep_cells(sweep: NtkSweep, data_dir: str | None = None) -> list[NtkCell]:
    """List the cells of a sweep for the data at hand.

    Args:
        sweep: The sweep.
        data_dir: Folder of official files; see ``datasets.load``.

    Returns:
        Its cells.

    Raises:
        InputError: If the data cannot be had.
    """
    dataset, _ = task_data(sweep.task, data_dir)
    return sweep.cells(len(dataset.y_train))
