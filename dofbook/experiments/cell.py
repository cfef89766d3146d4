"""Run one cell: build the subspace of each seed, train in it, and tabulate what happened."""

from collections.abc import Sequence
from hashlib import sha256

import jax
import numpy as np
import pandas as pd

from dofbook.cache import Cache
from dofbook.errors import InputError
from dofbook.experiments.config import Cell
from dofbook.experiments.identity import check_machine_settings
from dofbook.experiments.linearized import trained_as
from dofbook.methods import Method
from dofbook.subspaces import AffineSubspace
from dofbook.success.checks import metric_kind
from dofbook.training import Batching, OptimizerConfig, Task, batches_key, evaluate, make_task
from dofbook.training.batched import train_runs

_AT_OFFSETS = Cache(2**12)  # metrics by the digest of an offset; cells that differ in d share it


def _constants(task: Task, method: Method, d: int | None, name: str) -> dict[str, object]:
    """List the columns that are the same in all rows of a cell."""
    optimizer, config, model = method.optimizer(task), task.config, []
    known = isinstance(optimizer, OptimizerConfig)
    if config and config.linearized_at is not None:
        model.append(f"linearized at step {config.linearized_at}")
    if config and config.solver == "exact":
        model.append("exact")
    return {
        "cell": name,
        "dataset": config.dataset if config else task.data.name,
        "network": config.network if config else task.network.name,
        "pooling": config.pooling if config else "",
        "method": method.name,
        "burn_in_steps": method.t,
        "variant": ", ".join(filter(None, (*model, method.variant))),
        "nested": method.is_nested,
        "d": task.network.D if d is None else d,
        "D": task.network.D,
        "optimizer": optimizer.name if known else "own",
        "bias_correction": optimizer.bias_correction if known else "",
        "learning_rate": optimizer.learning_rate if known else np.nan,
        "epochs": task.epochs,
        "batch_size": task.batch_size,
        "train_images": len(task.data.y_train),
        "test_images": len(task.data.y_test),
    }


def training_rows(
    task: Task, method: Method, d: int | None, seeds: Sequence[int], name: str = "",
    batching: Batching | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Train every seed in its subspace of dimension d; None is full training.

    Gives one row per run and checkpoint (columns as in ``results/columns.md``); a "best_" value is
    the best at this checkpoint or earlier.

    >>> from dofbook.methods import RandomAffine
    >>> rows = training_rows(Task("mlp", "digits", epochs=1), RandomAffine(), 8, [0])
    >>> rows[["method", "d", "step"]].values.tolist()
    [['affine', 8, 0], ['affine', 8, 12]]
    """
    check_machine_settings()
    model, columns = trained_as(task), {}

    def build(run: int) -> AffineSubspace:
        D = task.network.D
        subspace = method.subspace(task, seeds[run], d or D)
        if (subspace.d, subspace.D) != (d or D, D):
            laid = f"d = {subspace.d} in D = {subspace.D}"
            raise InputError(f"{method.name} laid {laid}, where d = {d or D} in D = {D} was asked.")
        columns[run] = method.columns(task, subspace)
        return model.place(subspace, seeds[run])

    def at_offset(subspace: AffineSubspace) -> jax.Array:
        seen, w = model.task, subspace.offset
        source = (seen.network, seen.objective, seen.data)
        key = sha256(np.asarray(w).data).digest()
        return _AT_OFFSETS.get(source, key, lambda: evaluate(seen, w), lambda m: m.nbytes)

    if model.minimum:
        histories = [model.minimum(build(run), seed) for run, seed in enumerate(seeds)]
    else:
        keys = [batches_key(seed) for seed in seeds]
        histories = train_runs(model.task, build, keys, method.optimizer(task), batching, at_offset)
    frames, same = [], _constants(task, method, d, name)
    for run, (seed, history) in enumerate(zip(seeds, histories, strict=True)):
        history.insert(0, "seed", seed)
        for metric in task.objective.metric_names:
            better = np.fmin if metric_kind(metric) == "loss" else np.fmax
            history[f"best_{metric}"] = better.accumulate(history[metric].to_numpy())
        if taken := sorted(columns[run].keys() & {*history, *same}):
            raise InputError(f"{method.name} adds the columns {', '.join(taken)}, which are taken.")
        frames.append(history.assign(**columns[run]))
    rows = pd.concat(frames, ignore_index=True)
    rows = pd.concat([pd.DataFrame(same, index=rows.index), rows], axis=1)
    rows.attrs["batched"] = not model.minimum and (batching or Batching()).batched
    return rows


def run_cell(
    cell: Cell, data_dir: str | None = None, batching: Batching | None = None
) -> pd.DataFrame:
    """Compute the rows of a cell; they depend on the cell alone, not on what ran before or beside.

    ``data_dir`` as in ``datasets.load``. InputError if the cell cannot run or the data be had.

    >>> from dofbook.experiments.config import CellConfig
    >>> task = Task("mlp", "digits", epochs=1)
    >>> run_cell(CellConfig(task=task.config, d=8)).step.tolist()
    [0, 12]
    """
    check_machine_settings()
    batching, task = batching or Batching(), make_task(cell.task, data_dir)
    cell.check(task)
    rows = cell.rows(task, batching)
    batched = rows.attrs.pop("batched", batching.batched and not cell.by_seed)  # own rows may be
    rows.attrs["batching"] = {"batched": batched, "precision": batching.precision}
    return rows
