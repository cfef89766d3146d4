"""Run the cells of a sweep on dask.distributed: local processes, or an existing cluster.

Cells go out one by one and results stay in the store, so nothing that dies loses more than the
cells it was computing. A worker that dies is replaced by its nanny and its cell goes to another;
when the scheduler dies, the cells that are not stored are sent again to the one that takes its
place.
"""

import asyncio
import contextlib
import json
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path

from dofbook.errors import InputError, RunFailed
from dofbook.experiments.config import Cell
from dofbook.experiments.executors import Outcome

log = logging.getLogger(__name__)

_LOST = (OSError, TimeoutError, asyncio.CancelledError, futures.CancelledError)
"""How a broken link to the scheduler shows itself (CommClosedError is an OSError)."""
_MOST_LOSSES = 10


def _distributed():
    try:
        import distributed
    except ImportError:
        raise InputError(
            "the dask executor needs dask.distributed; pip install 'dofbook[distributed]'."
        ) from None
    return distributed


@dataclass(frozen=True)
class DaskExecutor:
    """Send cells to the workers of a dask cluster.

    Args:
        scheduler: Address of a running scheduler, such as "tcp://10.0.0.1:8786".
        scheduler_file: The JSON file a running scheduler wrote; an alternative to the address.
        workers: Processes of a local cluster, where neither is given; one thread each.
        patience: Seconds to wait for a scheduler that does not answer, at the start and after it
            was lost.

    Raises:
        InputError: If the options contradict each other or dask.distributed is not installed.
    """

    scheduler: str | None = None
    scheduler_file: str | None = None
    workers: int | None = None
    patience: float = 60.0

    def __post_init__(self):
        if self.scheduler and self.scheduler_file:
            raise InputError("give the scheduler's address or its file, not both.")
        if self.workers is not None and (self.scheduler or self.scheduler_file):
            raise InputError("workers is for a local cluster; a running scheduler has its own.")
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers is {self.workers}; it must be at least 1.")
        if self.scheduler is not None and not self.scheduler.rpartition(":")[2].isdigit():
            raise InputError(
                f"scheduler is {self.scheduler!r}; it must be an address such as "
                "tcp://10.0.0.1:8786."
            )
        _distributed()

    def map(
        self, run: Callable[[Cell], Outcome], cells: Sequence[Cell]
    ) -> Iterator[tuple[Cell, Outcome]]:
        """Apply ``run`` to every cell on the cluster's workers.

        Args:
            run: What to do with a cell; it is pickled.
            cells: The cells.

        Yields:
            Pairs of cell and outcome, in the order in which they end.

        Raises:
            RunFailed: If no scheduler answers, or the store cannot be written.
        """
        left, losses = {cell.name: cell for cell in cells}, 0
        with self._cluster() as address:
            while left:
                before = len(left)
                with self._client(address) as client, contextlib.suppress(*_LOST):
                    yield from _send(client, run, left)
                if left:
                    log.warning("the scheduler was lost; %d cells are sent again.", len(left))
                    losses = losses + 1 if len(left) == before else 0
                    if losses == _MOST_LOSSES:
                        raise RunFailed(f"the scheduler was lost {losses} times in a row.")

    @contextlib.contextmanager
    def _cluster(self) -> Iterator[str | None]:
        """Start local processes unless a cluster is there; yield its address, if it has one."""
        if self.scheduler or self.scheduler_file:
            yield self.scheduler
            return
        options = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
        with _distributed().LocalCluster(n_workers=self.workers, **options) as cluster:
            yield cluster.scheduler_address

    @contextlib.contextmanager
    def _client(self, address: str | None):
        client = self._connect(address)
        try:
            yield client
        finally:
            with contextlib.suppress(*_LOST):
                client.close(timeout=2)

    def _connect(self, address: str | None):
        """Connect, again and again until patience ends: a new scheduler may still be starting."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                # The file may still name the scheduler that died: it is read anew each time.
                where = address or json.loads(Path(self.scheduler_file).read_text())["address"]
                return _distributed().Client(where, timeout=5, set_as_default=False)
            except (*_LOST, ValueError, LookupError, TypeError) as problem:
                if time.monotonic() > deadline:
                    place = address or self.scheduler_file
                    reason = " ".join(str(problem).split()) or type(problem).__name__
                    raise RunFailed(
                        f"no dask scheduler answers at {place} after {self.patience:g} s: {reason}."
                    ) from None
                time.sleep(0.5)


def _send(client, run, left: dict[str, Cell]) -> Iterator[tuple[Cell, Outcome]]:
    """Submit all cells that are left and yield outcomes, until all are done or the link breaks."""
    sent = {
        # Earlier cells first; never taken from a cache, since what counts is in the store.
        client.submit(run, cell, pure=False, priority=-number, key=f"{cell.name}-{time.time_ns()}"):
        cell
        for number, cell in enumerate(left.values())
    }  # fmt: skip
    for future in _distributed().as_completed(sent, loop=client.loop):
        if future.status in ("cancelled", "lost"):
            raise asyncio.CancelledError
        cell = sent[future]
        outcome = _outcome(future)
        del left[cell.name]
        yield cell, outcome


def _outcome(future) -> Outcome:
    """Read the outcome of a finished task; one whose workers all died has a reason, no traceback.

    Raises:
        RunFailed: If the worker could not write the store: the sweep then stops.
    """
    try:
        return future.result()
    except RunFailed:
        raise
    except _LOST:
        raise
    except Exception as problem:
        text = "".join(traceback.format_exception_only(problem))
        return Outcome(0.0, f"the worker gave no result:\n{text}")
