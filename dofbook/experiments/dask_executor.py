"""Run the cells of a sweep on dask.distributed: local processes, or an existing cluster.

Cells go out one by one and results stay in the store. The cell of a worker that dies or falls
silent goes to another: whichever is first stores it. When the scheduler dies, the cells that are
not stored are sent again to the one that takes its place.
"""

import asyncio
import contextlib
import json
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dofbook import checks
from dofbook.errors import InputError, RunFailed
from dofbook.experiments.config import SCHEMA_VERSION, Cell
from dofbook.provenance import versions

if TYPE_CHECKING:
    from dofbook.experiments.executors import Outcome

log = logging.getLogger(__name__)

_LOST = (OSError, TimeoutError, asyncio.CancelledError, futures.CancelledError)
"""How a broken link to the scheduler shows itself (CommClosedError is an OSError)."""
_MOST_LOSSES = 10


@dataclass(frozen=True)
class DaskExecutor:
    """Send cells to the workers of a running dask scheduler, or of a local cluster.

    The scheduler has an address such as "tcp://10.0.0.1:8786", or the JSON file it wrote; without
    either, ``workers`` local processes of one thread each start. A scheduler may be silent for
    ``patience`` seconds; after ``silence`` seconds a worker's cells go to others too. InputError if
    the options contradict each other or dask.distributed is not installed.
    """

    scheduler: str | None = None
    scheduler_file: str | None = None
    workers: int | None = None
    patience: float = 60.0
    silence: float = 60.0

    def __post_init__(self):
        if self.scheduler and self.scheduler_file:
            raise InputError("give the scheduler's address or its file, not both.")
        if self.workers is not None and (self.scheduler or self.scheduler_file):
            raise InputError("workers is for a local cluster; a running scheduler has its own.")
        checks.integer_fields(self, 1, "workers")
        if self.scheduler is not None and not self.scheduler.rpartition(":")[2].isdigit():
            where = "it must be an address such as tcp://10.0.0.1:8786"
            raise InputError(f"scheduler is {self.scheduler!r}; {where}.")
        if find_spec("distributed") is None:
            needed = "dask.distributed; pip install 'dofbook[distributed]'"
            raise InputError(f"the dask executor needs {needed}.")

    def map(self, run, cells):
        """Apply ``run``, which is pickled, on the workers; give outcomes in the order they end.

        Raises RunFailed if no scheduler answers, a worker has another version of dofbook, or the
        store cannot be written.
        """
        for name in (cell.author[1] for cell in cells if cell.author[0] == "__main__"):
            raise InputError(f"workers cannot import {name} of a script; put it into a module.")
        left, losses = {cell.name: cell for cell in cells}, 0
        with self._cluster() as address:
            while left:
                before = len(left)
                with self._client(address) as client, contextlib.suppress(*_LOST):
                    _check_workers(client)
                    yield from _outcomes(client, run, left, self.silence)
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
        import dask.config
        import distributed

        cluster: Any = distributed.LocalCluster(
            n_workers=self.workers, threads_per_worker=1, processes=True, host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        )  # fmt: skip
        # One that dies starts again; dask forgets those that take longer, 15 s unless told.
        with dask.config.set({"distributed.deploy.lost-worker-timeout": "1 day"}), cluster:
            yield cluster.scheduler_address

    @contextlib.contextmanager
    def _client(self, address: str | None) -> Iterator[Any]:
        """Connect, again and again until patience ends: a new scheduler may still be starting."""
        import distributed

        client, place = None, address or self.scheduler_file
        told, deadline = False, time.monotonic() + self.patience
        while client is None:
            try:
                # The file may still name the scheduler that died: it is read anew each time.
                where = address or json.loads(Path(str(self.scheduler_file)).read_text())["address"]
                client = distributed.Client(where, timeout=5, set_as_default=False)
            # AssertionError: dask gives its own thread ten seconds to start and then asserts.
            except (*_LOST, ValueError, LookupError, TypeError, AssertionError) as problem:
                reason = " ".join(str(problem).split()) or type(problem).__name__
                missing = f"no dask scheduler answers at {place}"
                if time.monotonic() > deadline:
                    after = f"after {self.patience:g} s"
                    raise RunFailed(f"{missing} {after}: {reason}.") from None
                if not told:
                    log.warning("%s yet (%s); waiting %g s for it.", missing, reason, self.patience)
                told = True
                time.sleep(0.5)
        try:
            yield client
        finally:
            with contextlib.suppress(*_LOST):
                client.close(timeout=2)


def _version() -> tuple[str | None, int]:
    """Give what must be the same here and on every worker."""
    return versions()["dofbook"], SCHEMA_VERSION


def _refuse(worker: str, theirs: tuple, ours: tuple) -> RunFailed:
    return RunFailed(
        f"the worker {worker} has dofbook {theirs[0]} (cells of schema {theirs[1]}), this sweep "
        f"{ours[0]} ({ours[1]}); give all workers the same version."
    )


def _check_workers(client) -> None:
    """Refuse workers of another version; those that join later are told by their first cell."""
    there, _ = _living(client, 10.0)
    answers = client.run(_version, workers=there, on_error="return") if there else {}
    for worker, theirs in answers.items():
        if isinstance(theirs, ImportError | AttributeError):
            theirs = ("of another version", "unknown")
        if not isinstance(theirs, BaseException) and tuple(theirs) != _version():
            raise _refuse(worker, theirs, _version())


def _living(client, silence: float) -> tuple[list[str], list[str]]:
    """Part the workers by whether they gave a sign of life, by the scheduler's own clock."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    newest = max((about["last_seen"] for about in workers.values()), default=0.0)
    living = [w for w, about in workers.items() if newest - about["last_seen"] <= silence]
    return living, [worker for worker in workers if worker not in living]


def _run_there(
    run: "Callable[[Cell], Outcome]", ours: tuple, name: str, sources: dict, cell: Cell
) -> "Outcome":
    """Run a cell on a worker, if that has our version and code, and calls the cell as we do."""
    import distributed

    from dofbook.experiments.identity import edited, sources_of

    where = distributed.get_worker().address
    if _version() != ours or cell.name != name:
        raise _refuse(where, _version(), ours)
    if names := edited(sources, sources_of(cell)):
        way = "start it again, or the sweep, whichever has older code"
        raise RunFailed(f"the worker {where} has another {names[0]} than this sweep; {way}.")
    return run(cell)


def _outcomes(
    client, run: "Callable[[Cell], Outcome]", left: dict[str, Cell], silence: float
) -> "Iterator[tuple[Cell, Outcome]]":
    """Send cells, those of silent workers to others too, and yield the first outcome of each.

    ``left`` loses the cells that have one. It ends when none is left, or the link breaks.
    """
    import distributed

    from dofbook.experiments.identity import sources_of_each

    sources = sources_of_each(left.values())
    ready, sent, ours = distributed.as_completed(loop=client.loop), {}, _version()

    def send(cell, **options):
        # Never taken from dask's memory: what counts is in the store.
        how = {"pure": False, "key": f"{cell.name}-{time.time_ns()}", **options}
        future = client.submit(_run_there, run, ours, cell.name, sources[cell], cell, **how)
        sent[future] = cell
        ready.add(future)

    for number, cell in enumerate(left.values()):
        send(cell, priority=-number)  # earlier cells first
    looked = time.monotonic()
    while left:
        batch = ready.next_batch(block=False)
        for future in batch:
            cell = sent.pop(future)
            if cell.name not in left:
                continue
            if (outcome := _outcome(future, silence)) is None:
                log.warning("a worker is silent; what it says of %s comes from another.", cell.name)
                send(cell, workers=_living(client, silence)[0], priority=1)
                continue
            del left[cell.name]
            yield cell, outcome
        if not batch:
            time.sleep(0.02)
        if time.monotonic() - looked > silence / 4:
            looked = time.monotonic()
            names, living = _stuck(client, sent, silence)
            for name in names & left.keys():
                log.warning("a worker is silent; its cell %s goes to another.", name)
                send(left[name], workers=living, priority=1)


def _stuck(client, sent: dict[Any, Cell], silence: float) -> tuple[set[str], list[str]]:
    """Name the cells that only silent workers hold, and the workers that live."""
    living, silent = _living(client, silence)
    if not (living and silent):
        return set(), living
    held = client.processing()
    stuck = {str(key) for worker in silent for key in held.get(worker, ())}
    going = {cell.name for future, cell in sent.items() if future.key not in stuck}
    return {key.partition("-")[0] for key in stuck} - going, living


def _outcome(future, silence: float) -> "Outcome | None":
    """Read the outcome of a finished task; one whose workers all died has a reason, no traceback.

    None if the worker that holds it fell silent meanwhile; another finds the cell in the store.
    RunFailed (another version, a store that cannot be written) passes: the sweep stops.
    """
    if future.status in ("cancelled", "lost"):
        raise asyncio.CancelledError
    try:
        return future.result(timeout=silence)
    except TimeoutError:
        return None
    except (RunFailed, *_LOST):
        raise
    except Exception as problem:
        from dofbook.experiments.executors import Outcome

        text = "".join(traceback.format_exception_only(problem))
        return Outcome(0.0, f"the worker gave no result:\n{text}")
