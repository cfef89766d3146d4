"""Run the cells of a sweep: skip what is stored, store each result as soon as it is there.

An executor decides where and in what order. What runs is ``compute``, which writes the result of
one cell to the store itself, so that it may be sent to other processes or hosts.
"""

import contextlib
import logging
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Protocol

import jax
import pandas as pd
from tqdm import tqdm

from dofbook import checks
from dofbook.errors import InputError, RunFailed
from dofbook.experiments import identity, timing
from dofbook.experiments.cell import run_cell as run_one
from dofbook.experiments.config import Cell
from dofbook.experiments.index import other_commits, read_headers
from dofbook.experiments.store import Store, StoredCell, decode, encode
from dofbook.interrupts import heard_interrupts
from dofbook.keys import SEEDS
from dofbook.provenance import environment, machine
from dofbook.training import Task, make_task

log = logging.getLogger(__name__)

RunCell = Callable[[Cell, str | None], pd.DataFrame]
_MOST_RUNS = 64
"""Most seeds of a stored cell in which runs of another are looked for."""


@dataclass(frozen=True)
class Outcome:
    """Tell how one cell ended, after how many seconds; its rows are in the store.

    ``error`` is the traceback if it raised, ``recorded`` in the store unless the worker died;
    ``found``, that another sweep had stored it meanwhile; ``name``, what the worker calls the cell.

    >>> Outcome(0.0, found=True).error is None
    True
    """

    seconds: float
    error: str | None = None
    found: bool = False
    recorded: bool = False
    name: str | None = None


class Executor(Protocol):
    """Apply a function to cells, somewhere else than one after the other in this process.

    >>> class InOrder:
    ...     map = staticmethod(lambda run, cells: ((cell, run(cell)) for cell in cells))
    >>> run_sweep([], Store("nowhere"), InOrder()).failures
    {}
    """

    def map(
        self, run: Callable[[Cell], Outcome], cells: Sequence[Cell]
    ) -> Iterator[tuple[Cell, Outcome]]:
        """Give pairs of cell and outcome in the order they end.

        ``run`` never raises for a failing cell (the outcome says so), can be pickled where the
        store's folder can be reached, and may be applied twice to the same cell.
        """
        ...


def compute(
    cell: Cell, store: Store, data_dir: str | None = None, run_cell: RunCell = run_one
) -> Outcome:
    """Run one cell and store its rows, or its traceback if it raises; skip it if it is stored.

    Seeds that other cells of its family hold (the same but for the seeds) are taken from there.
    Raises StoreError if the store cannot be written; the sweep then stops.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     cell = Cell(task=Task("mlp", "digits").config)
    ...     compute(cell, Store(folder), run_cell=lambda *_: 1 / 0).error.splitlines()[-1]
    'ZeroDivisionError: division by zero'
    """
    if store.take(cell.name) is not None:
        return Outcome(0.0, found=True, name=cell.name)
    provenance = {
        "environment": environment(), "machine": machine_kind(), "settings": identity.settings(),
        "started": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    start, compiled = time.perf_counter(), sum(_compilations())
    try:
        task = make_task(cell.task, data_dir)
        data = task.data
        provenance["dataset"] = {"source": data.source, "fingerprint": data.fingerprint}
        provenance["code"] = identity.code_of(cell, task)
        known = _known_runs(cell, store, task)
        rows = _complete(cell, known, lambda part: run_cell(part, data_dir))
        provenance["wall_seconds"] = time.perf_counter() - start
        provenance["compile_seconds"] = sum(_compilations()) - compiled
        provenance["batching"] = rows.attrs.get("batching")
        if known:
            _add_parts(provenance, known)
        content = encode(cell, rows, provenance)
        decode(cell.name, content)  # as whoever reads it will: what is refused then fails now
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException:  # a reader's code may call sys.exit, or raise what it likes
        seconds, text = time.perf_counter() - start, traceback.format_exc()
        store.write_failure(cell, text, provenance)
        return Outcome(seconds, text, recorded=True, name=cell.name)
    store.put(cell.name, content)
    return Outcome(provenance["wall_seconds"], name=cell.name)


def _relatives(cell: Cell) -> Iterator[Cell]:
    """List cells that may hold some of its runs: single seeds, and counts from its first."""
    first = cell.seeds[0]
    for count in range(_MOST_RUNS, 1, -1):
        seeds = tuple(range(first, first + count))
        if seeds != cell.seeds and seeds[-1] < SEEDS:
            yield replace(cell, seeds=seeds)
    if len(cell.seeds) > 1:
        yield from map(cell.with_seed, cell.seeds)


def _known_runs(cell: Cell, store: Store, task: Task) -> dict[int, StoredCell]:
    """Find runs of the cell in others of its family, computed from the same data and code."""
    found: dict[int, StoredCell] = {}
    if not cell.by_seed:
        return found
    for other in _relatives(cell):
        if found.keys() >= set(cell.seeds):
            break
        if store.path(other.name).exists() and (stored := store.take(other.name)):
            identity.check_origin(stored, cell, task)
            found |= {s: stored for s in stored.config.seeds if s in cell.seeds and s not in found}
    return found


def _complete(cell: Cell, known: dict[int, StoredCell], run: Callable) -> pd.DataFrame:
    """Run the seeds that are not known and join all rows in the order of the seeds."""
    if not known:
        return run(cell)
    left = tuple(seed for seed in cell.seeds if seed not in known)
    fresh = run(replace(cell, seeds=left)) if left else pd.DataFrame()
    frames = {
        stored.config.name: stored.table.to_pandas(use_threads=False) for stored in known.values()
    }
    rows = {s: frames[known[s].config.name] if s in known else fresh for s in cell.seeds}
    parts = [part[part["seed"] == seed] for seed, part in rows.items()]
    joined = pd.concat(parts, ignore_index=True).assign(cell=cell.name)
    joined.attrs |= fresh.attrs
    return joined


def _add_parts(provenance: dict, known: dict[int, StoredCell]) -> None:
    """Record where the runs that were taken over come from, and their share of the time."""
    parts: dict[str, dict] = {}
    for seed, stored in known.items():
        origin, config = stored.provenance, stored.config
        kept = {name: origin.get(name) for name in ("environment", "machine", "settings")}
        parts.setdefault(config.name, {"seeds": [], **kept})["seeds"].append(seed)
        provenance["wall_seconds"] += (origin.get("wall_seconds") or 0) / len(config.seeds)
    provenance["parts"] = parts


@lru_cache(maxsize=1)
def machine_kind() -> dict[str, object]:
    """Name what decides whether a CPU repeats a result bit by bit: XLA divides sums among cores.

    >>> sorted(machine_kind())
    ['cores', 'processor']
    """
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        lines = (line.partition(":") for line in file)
        model = next((value.strip() for key, _, value in lines if key[:10] == "model name"), model)
    return {"processor": model, "cores": machine()["cores"]}


@lru_cache(maxsize=1)
def _compilations() -> list[float]:
    """Note the seconds of every compilation of this process from now on."""
    noted: list[float] = []

    def listen(event, seconds, **_):
        if event.endswith("backend_compile_duration"):
            noted.append(seconds)

    register: Any = jax.monitoring.register_event_duration_secs_listener
    register(listen)
    return noted


@dataclass
class SweepReport:
    """Count what a sweep did.

    ``stored`` cells were there before, verified, or came from another sweep meanwhile; ``failures``
    are tracebacks by hash; ``lost``, hashes of cells that vanished or were damaged meanwhile.

    >>> SweepReport(computed=2).failures
    {}
    """

    stored: int = 0
    computed: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def check_cells(
    missing: Sequence[Cell], present: Sequence[tuple[Cell, StoredCell]] = (),
    data_dir: str | None = None, store: Store | None = None,
) -> str | None:  # fmt: skip
    """Refuse cells that cannot run, or not beside those of the sweep that are ``present``.

    Raises InputError if the data cannot be had, d exceeds D or the points of a trajectory, JAX
    would draw other random numbers, or stored cells were computed from other data or code than
    their names stand for now; of a reader's code, any cells of the ``store``. What cannot be had,
    though no missing cell needs it, is told in a sentence.

    >>> check_cells([Cell(task=Task("mlp", "digits").config)]) is None
    True
    """
    if missing:
        identity.check_machine_settings()
    sources = identity.sources_of_each([*missing, *(cell for cell, _ in present)])
    untold = None
    for config in dict.fromkeys(cell.task for cell in sources):
        to_run, task = [cell for cell in missing if cell.task == config], None
        try:
            task = make_task(config, data_dir)
            for cell in to_run:
                cell.check(task)
        except InputError as problem:
            if to_run:
                raise
            untold = f"stored cells were not compared with the data and code of today: {problem}"
        for cell, stored in present:
            if cell.task == config:
                identity.check_origin(stored, cell, task, sources[cell])
    identity.check_sources(sources[cell] for cell in missing)
    own = {(cell.task, *sources[cell].items()): cell for cell in missing if sources[cell]}
    others = read_headers(store)[0] if store and own else {}
    for cell in own.values():
        task = make_task(cell.task, data_dir)
        for name in others.keys() - {known.name for known, _ in present}:
            identity.check_origin(others[name], cell, task, sources[cell])
    return untold


def run_sweep(
    cells: Sequence[Cell], store: Store, executor: Executor | None = None,
    data_dir: str | None = None, progress: bool | None = True, run_cell: RunCell = run_one,
    retries: int = 1, notify: Callable[[dict], None] = lambda event: None,
) -> SweepReport:  # fmt: skip
    """Bring the store to hold every cell: verify what is there, compute the rest.

    It can be stopped at any moment, by KeyboardInterrupt or by killing the process, and called
    again: finished cells are kept, and the result is the same. Cells that raised, and did when
    tried again ``retries`` times after all others, are in the report and in the store.

    Without an ``executor`` cells run here, in order; ``data_dir`` as in ``datasets.load``;
    ``run_cell`` computes the rows of a cell; ``notify`` is told what happens. A line of
    ``progress`` is only shown in a terminal or notebook; with None, as a part of something larger,
    nothing is said of other commits either.

    Raises InputError if the cells cannot run (nothing has been written then), RunFailed if the
    store cannot be written or a worker has another version.

    >>> run_sweep([], Store("nowhere"))
    SweepReport(stored=0, computed=0, failures={}, lost=[])
    """
    for cell in cells:
        checks.instance("every cell", cell, Cell)
    stamps = {cell.name: store.stamp(cell.name) for cell in cells}
    present = {name: store.take(name) for name in stamps}
    missing = [cell for cell in cells if present[cell.name] is None]
    report = SweepReport(stored=len(cells) - len(missing))
    counts = {"cells": len(cells), "stored": report.stored, "missing": len(missing)}
    notify({"event": "start", "store": str(store.root), **counts})
    known = [(cell, stored) for cell in cells if (stored := present[cell.name])]
    untold, stored = check_cells(missing, known, data_dir, store), [stored for _, stored in known]
    for sentence in (untold, other_commits(stored) if missing else None):
        if sentence and progress is not None:
            log.warning("%s", sentence)
    if missing:
        store.prepare()
        here = replace(store, root=store.root.absolute())  # workers may have another folder
        run = partial(compute, store=here, data_dir=data_dir, run_cell=run_cell)
        line = _Progress(cells, missing, stored, progress)
        with heard_interrupts() as caught, line:
            for attempt in range(retries + 1):
                tried = [c for c in missing if attempt == 0 or c.name in report.failures]
                here_by_turns = ((c, run(line.begun(c))) for c in tried)
                outcomes = executor.map(run, tried) if executor else here_by_turns
                for cell, outcome in outcomes:
                    state = _note(report, here, cell, outcome, attempt < retries)
                    about = {"state": state, "seconds": outcome.seconds, "error": outcome.error}
                    notify({"event": "cell", **cell.labels(), **about})
                    line.ended(cell, outcome)
                    if caught:
                        raise KeyboardInterrupt
                if not report.failures:
                    break
        known_as = {name: stamp for name, stamp in stamps.items() if present[name] and stamp}
        wanted = [name for name in stamps if name not in report.failures]
        elsewhere = missing if executor else ()
        report.lost = _lost(store, wanted, known_as, elsewhere, data_dir)
    if report.computed and progress is not None:
        read_headers(store)  # which keeps what they say beside many cells
    counts = {"stored": report.stored, "computed": report.computed}
    notify({"event": "end", **counts, "failed": len(report.failures)})
    return report


def _lost(
    store: Store, names: Sequence[str], known_as: dict[str, tuple], elsewhere: Sequence[Cell],
    data_dir: str | None,
) -> list[str]:  # fmt: skip
    """Name the cells that are gone; refuse those computed ``elsewhere`` from other data or code.

    A file that nothing has touched since it was verified, ``known_as`` its stamp, is not read.
    """
    touched = [name for name in names if known_as.get(name, ()) != store.stamp(name)]
    now = {name: store.take(name) for name in touched}
    for cell in elsewhere:
        if came := now.get(cell.name):
            identity.check_origin(came, cell, make_task(cell.task, data_dir))
    return [name for name, cell in now.items() if cell is None]


def _note(report: SweepReport, store: Store, cell: Cell, outcome: Outcome, again: bool) -> str:
    """Count an outcome and name it; record a failure that the worker could not."""
    if outcome.name not in (None, cell.name):
        raise RunFailed(
            f"a worker computed the cell {cell.name} under the name {outcome.name}: it has another "
            "version of dofbook; give all workers the same."
        )
    if outcome.error is not None:
        report.failures[cell.name] = outcome.error
        if not outcome.recorded:
            store.write_failure(cell, outcome.error, {})
        return "retried" if again else "failed"
    report.failures.pop(cell.name, None)
    report.stored += outcome.found
    report.computed += not outcome.found
    return "found" if outcome.found else "done"


def is_hidden(progress: bool | None) -> bool | None:
    """Give tqdm's ``disable``: True unless asked for, else False in a notebook, else None.

    >>> is_hidden(False)
    True
    """
    return ("ipykernel" not in sys.modules and None) if progress else True


class _Progress(tqdm):
    """Show the cells done, and the time left by the wall times seen so far."""

    def __init__(self, cells, missing, known: list[StoredCell], shown: bool | None):
        form = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} cells [{elapsed}{postfix}]"
        done, hidden = len(cells) - len(missing), is_hidden(shown)
        super().__init__(total=len(cells), initial=done, bar_format=form, disable=hidden)
        self._missing = {cell.name: cell for cell in missing}
        self._done, self._known, self._left = [], known, ""

    def begun(self, cell: Cell) -> Cell:
        """Name the cell that runs now, and give it."""
        method, t, d = cell.place().values()
        self.set_postfix_str(f"{self._left}now {method}, t = {t}, d = {d or 'D'}")
        return cell

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        """Move on by a cell; when it is tried again it does not count again."""
        if self._missing.pop(cell.name, None) is None or self.disable:
            return
        if outcome.error is None and not outcome.found:
            origin = {"wall_seconds": outcome.seconds, "environment": environment()}
            self._known.append(StoredCell(cell, None, origin))
            self._done.append(cell)
        # Time spent over work done: parallel workers count as they do.
        rates = timing.fit_rates(self._known)
        done = timing.predict(rates, self._done)
        left = timing.predict(rates, list(self._missing.values()))
        if done and left is not None:
            seconds = self.format_dict["elapsed"] * left / done
            self._left = f"about {tqdm.format_interval(seconds)} left, "
            self.set_postfix_str(self._left[:-2], refresh=False)
        self.update()
