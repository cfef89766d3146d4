"""Run the cells of a sweep: skip what is stored, store each result as soon as it is there.

An executor only decides where and in what order the cells run. What runs is one function of one
cell, ``compute``, which writes the result to the store itself and hands back a short outcome, so
that an executor may send it to other processes or hosts.
"""

import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import pandas as pd
from tqdm import tqdm

from dofbook.errors import InputError
from dofbook.provenance import environment
from dofbook.sweeps import cells as cell_module
from dofbook.sweeps.config import CellConfig
from dofbook.sweeps.store import Store, StoredCell

RunCell = Callable[[CellConfig, str | None], pd.DataFrame]


@dataclass(frozen=True)
class Outcome:
    """Tell how one cell ended; its rows are in the store.

    Attributes:
        seconds: Wall time of the cell.
        error: The traceback if it raised, else None.
    """

    seconds: float
    error: str | None = None


class Executor(Protocol):
    """Apply a function to cells, somewhere.

    The function never raises for a failing cell (the outcome says so), can be pickled when the
    store's folder is reachable from where it runs, and may be applied twice to the same cell.
    """

    def map(
        self, run: Callable[[CellConfig], Outcome], cells: Sequence[CellConfig]
    ) -> Iterator[tuple[CellConfig, Outcome]]:
        """Apply ``run`` to every cell.

        Args:
            run: What to do with a cell.
            cells: The cells.

        Returns:
            Pairs of cell and outcome, in the order in which the cells end.
        """
        ...


class InProcessExecutor:
    """Run the cells one after the other in this process: the default."""

    def map(
        self, run: Callable[[CellConfig], Outcome], cells: Sequence[CellConfig]
    ) -> Iterator[tuple[CellConfig, Outcome]]:
        """Apply ``run`` to every cell, in the given order.

        Args:
            run: What to do with a cell.
            cells: The cells.

        Yields:
            Pairs of cell and outcome.
        """
        for cell in cells:
            yield cell, run(cell)


def compute(
    cell: CellConfig,
    store: Store,
    data_dir: str | None = None,
    run_cell: RunCell = cell_module.run_cell,
) -> Outcome:
    """Run one cell and store its rows, or its traceback if it raises.

    Args:
        cell: The cell.
        store: Where the result goes.
        data_dir: Folder of official data files; see ``datasets.load``.
        run_cell: What computes the rows.

    Returns:
        How it ended.

    Raises:
        StoreError: If the store cannot be written; the sweep then stops.
    """
    provenance = {"environment": environment(), "started": datetime.now(UTC).isoformat()}
    start = time.perf_counter()
    try:
        dataset, _ = cell_module.task_data(cell.task, data_dir)
        provenance["dataset"] = {"source": dataset.source, "fingerprint": dataset.fingerprint}
        rows = run_cell(cell, data_dir)
    except Exception:
        outcome = Outcome(time.perf_counter() - start, traceback.format_exc())
        store.write_failure(cell, outcome.error, provenance)
        return outcome
    provenance["wall_seconds"] = time.perf_counter() - start
    provenance["compile_seconds"] = rows.attrs.get("compile_seconds")
    store.write(cell, rows, provenance)
    return Outcome(provenance["wall_seconds"])


@dataclass
class SweepReport:
    """Count what a sweep did.

    Attributes:
        stored: Cells that were there before, verified.
        computed: Cells computed now.
        failures: Hash of each cell that raised, with its traceback.
    """

    stored: int = 0
    computed: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def check_cells(
    cells: Sequence[CellConfig], present: Sequence[StoredCell], data_dir: str | None = None
) -> None:
    """Refuse cells that cannot run, before any does.

    Args:
        cells: The cells to run.
        present: Verified cells of the same sweep that are in the store.
        data_dir: Folder of official data files; see ``datasets.load``.

    Raises:
        InputError: If the data cannot be had, d exceeds D, or the store's cells were computed
            from other data.
    """
    for task in {cell.task for cell in cells}:
        dataset, _ = cell_module.task_data(task, data_dir)
        network = cell_module.task_network(task, dataset)
        largest = max((cell.d for cell in cells if cell.task == task and cell.d), default=1)
        if largest > network.D:
            raise InputError(
                f"d is {largest}, but {task.network} on {task.dataset} has only D = {network.D} "
                "parameters."
            )
        for cell in present:
            known = (cell.provenance.get("dataset") or {}).get("fingerprint")
            if cell.config.task == task and known != dataset.fingerprint:
                raise InputError(
                    f"the store's cell {cell.config.name} was computed from other {task.dataset} "
                    f"data than {dataset.source}; use another store or the same data."
                )


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Note every Ctrl-C beside raising it.

    Python drops an exception raised inside a garbage collection callback, and JAX has one: so
    some would be lost. The caller looks at the list between cells.
    """
    caught: list[int] = []

    def note(number, frame):
        caught.append(number)
        signal.default_int_handler(number, frame)

    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield caught
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run_sweep(
    cells: Sequence[CellConfig],
    store: Store,
    executor: Executor | None = None,
    data_dir: str | None = None,
    progress: bool = True,
    run_cell: RunCell = cell_module.run_cell,
) -> SweepReport:
    """Bring the store to hold every cell: verify what is there, compute the rest.

    It can be stopped at any moment, by KeyboardInterrupt or by killing the process, and called
    again: finished cells are kept, and the result does not depend on the interruption.

    Args:
        cells: The cells, usually ``SweepConfig.cells()``.
        store: Where results are and go.
        executor: Where to compute; in this process by default.
        data_dir: Folder of official data files; see ``datasets.load``.
        progress: Whether to show a progress line (never shown outside a terminal).
        run_cell: What computes the rows of a cell.

    Returns:
        What was done; cells that raised are listed there and in the store.

    Raises:
        InputError: If the cells cannot run; nothing has been written then.
        StoreError: If the store cannot be written.
    """
    present = {cell.name: store.take(cell.name) for cell in cells}
    missing = [cell for cell in cells if present[cell.name] is None]
    report = SweepReport(stored=len(cells) - len(missing))
    if not missing:
        return report
    check_cells(missing, [cell for cell in present.values() if cell], data_dir)
    store.prepare()
    run = partial(compute, store=store, data_dir=data_dir, run_cell=run_cell)
    line = {"total": len(cells), "initial": report.stored, "unit": "cell"}
    with _interrupts() as caught, tqdm(**line, disable=None if progress else True) as bar:
        for cell, outcome in (executor or InProcessExecutor()).map(run, missing):
            if outcome.error is None:
                report.computed += 1
            else:
                report.failures[cell.name] = outcome.error
            bar.update()
            if caught:
                raise KeyboardInterrupt
    return report
