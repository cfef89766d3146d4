"""Sweep methods over training dimensions from a notebook: in memory, or kept in a store."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from dofbook import checks
from dofbook.errors import InputError, RunFailed
from dofbook.experiments import tables
from dofbook.experiments.cell import run_cell, training_rows
from dofbook.experiments.config import Cell, CellConfig, check_integers, check_methods, grid_of
from dofbook.experiments.executors import is_hidden, run_sweep
from dofbook.experiments.store import Store, StoredCell
from dofbook.methods import Method
from dofbook.training import Batching, Task
from dofbook.training.task import seeds_of


def sweep(
    task: Task, method: Method | Sequence[Method], dims: int | Sequence[int],
    seeds: int | Sequence[int] = 3, store: str | Path | None = None, *,
    batching: Batching | None = None, progress: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Train a task inside subspaces of a method, or of several, at each dimension and seed.

    ``seeds`` is a count or a list. A ``store`` is a folder that keeps every cell, so that the sweep
    can be stopped and goes on, for tasks given by names. Gives one row per run and checkpoint
    (columns as in ``results/columns.md``). InputError, before anything is trained, if an argument
    is not allowed or d exceeds D; RunFailed if a cell of a store failed, when the others are kept.

    >>> import dofbook as dof
    >>> task = dof.Task("mlp", "digits", epochs=1)
    >>> runs = dof.sweep(task, dof.RandomAffine(), dims=[4, 8], seeds=2, progress=False)
    >>> runs.groupby("d").seed.nunique().to_dict()
    {4: 2, 8: 2}
    """
    chosen = tuple(method) if isinstance(method, Sequence) else (method,)
    checks.instance("task", task, Task)
    checks.instance("batching", Batching() if batching is None else batching, Batching)
    if not chosen or not all(isinstance(m, Method) for m in chosen):
        raise InputError(f"method is {method!r}; give one such as RandomAffine(), or several.")
    check_methods(chosen)
    alone = isinstance(dims, str | bytes) or not isinstance(dims, Iterable)
    listed = [dims] if alone else list(dims)  # type: ignore[arg-type]  # iterable
    sizes = check_integers("dims", tuple(checks.integers("dims", listed, 1).tolist()), 1)
    numbers = check_integers("seeds", seeds_of(seeds), 0)
    grid = grid_of(chosen, sizes)
    for one, d in grid:
        one.check(task, d)
    if store is not None:
        if task.config is None:
            way = "give network and data by name, or as module:function, or leave out store"
            raise InputError(f"a store keeps tasks that can be named; {way}.")
        cells = [CellConfig(task=task.config, method=m, d=d, seeds=numbers) for m, d in grid]
        run = partial(run_cell, batching=batching)
        found = run_cells(cells, store, None, progress, run_cell=run)
        return tables.compact(found).to_pandas(use_threads=False)
    parts = []
    with tqdm(grid, unit="cell", disable=is_hidden(progress)) as line:
        for one, d in line:
            line.set_postfix_str(f"{one.label}, d = {d or task.network.D}")
            parts.append(training_rows(task, one, d, numbers, batching=batching))
    rows = pd.concat(parts, ignore_index=True)
    return rows.sort_values([name for name in tables.ORDER if name in rows], ignore_index=True)


def run_cells(
    cells: Sequence[Cell], store: str | Path | Store, data_dir: str | None = None,
    progress: bool | None = True, **how: Any,
) -> list[StoredCell]:  # fmt: skip
    """Bring a store to hold every cell and read them: what is there is kept, the rest computed.

    Arguments as of ``run_sweep``. InputError if cells cannot run; RunFailed if any failed.
    """
    if not (isinstance(store, str | Path | Store) and str(store)):
        raise InputError(f"the store is {store!r}; it must be the name of a folder.")
    place = store if isinstance(store, Store) else Store(Path(store))
    report = run_sweep(cells, place, data_dir=data_dir, progress=progress, **how)
    for name, text in report.failures.items():
        raise RunFailed(f"the cell {name} failed: {text.strip().splitlines()[-1]}")
    if report.lost:
        raise RunFailed(
            f"the cells {', '.join(report.lost)} left the store {place.root} meanwhile."
        )
    return tables.read_cells(place, [cell.name for cell in cells])
