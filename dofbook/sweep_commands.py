"""The commands that work on stores: sweep, status, table, verify."""

import argparse
import math
import sys
from dataclasses import dataclass
from functools import partial

import pandas as pd

from dofbook.errors import InputError
from dofbook.sweeps import events, executors
from dofbook.sweeps.cells import run_cell
from dofbook.sweeps.store import DamagedCell, Store, StoredCell

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


@dataclass(frozen=True)
class Output:
    """Speak to people in text, or to machines in events: never both on one stream.

    Args:
        json: Whether standard output takes events.
    """

    json: bool

    def say(self, text: str = "") -> None:
        """Print a line for people."""
        if not self.json:
            sys.stdout.write(text + "\n")

    def event(self, event: dict) -> None:
        """Print an event for machines."""
        if self.json:
            events.writer(sys.stdout)(event)

    def complain(self, text: object) -> None:
        """Print a line of trouble on standard error."""
        sys.stderr.write(f"dofbook: {text}\n")


def duration(seconds: float | None) -> str:
    """Write a time as people say it.

    Args:
        seconds: The time; None if it is not known.

    Returns:
        Such as "40 s", "12 min", "3.5 h" or "2.1 days".
    """
    if seconds is None:
        return "?"
    for unit, length, limit in (("s", 1, 100), ("min", 60, 6000), ("h", 3600, 172800)):
        if seconds < limit:
            digits = 1 if seconds / length < 9.95 and length > 1 else 0
            return f"{seconds / length:.{digits}f} {unit}"
    return f"{seconds / 86400:.1f} days"


def memory(size: float) -> str:
    """Write a number of bytes.

    Args:
        size: Bytes.

    Returns:
        In MiB or GiB.
    """
    return f"{size / 2**20:.0f} MiB" if size < 2**30 else f"{size / 2**30:.1f} GiB"


# --- what the arguments mean ---------------------------------------------------------------


def _batching(args: argparse.Namespace):
    from dofbook.runs import Batching

    return Batching(args.batching, args.chunk, args.precision)


def _executor(args: argparse.Namespace) -> executors.Executor:
    joins = args.scheduler or args.scheduler_file
    if args.executor == "dask" or (args.executor is None and (joins or args.workers is not None)):
        from dofbook.sweeps.dask_executor import DaskExecutor

        return DaskExecutor(args.scheduler, args.scheduler_file, args.workers)
    if joins or args.workers is not None:
        raise InputError(
            "scheduler, scheduler_file and workers belong to the executor dask, not to local."
        )
    if args.executor not in (None, "local"):
        raise InputError(f"executor is {args.executor!r}; allowed: local, dask.")
    return executors.InProcessExecutor()


def _part(cells: list, text: str | None) -> list:
    """Take every N-th cell, beginning with the I-th: 1/4, 2/4, 3/4 and 4/4 share a sweep."""
    if text is None:
        return cells
    number, slash, count = text.partition("/")
    if not (slash and number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise InputError(f"part is {text!r}; it must be I/N with 1 <= I <= N, such as 2/8.")
    return cells[int(number) - 1 :: int(count)]


def _check_retries(args: argparse.Namespace) -> None:
    if args.retries < 0:
        raise InputError(f"retries is {args.retries}; it must be at least 0.")


# --- sweep ---------------------------------------------------------------------------------


def sweep(args: argparse.Namespace, config) -> int:
    """Run a sweep, or say what it would take.

    Args:
        args: The parsed arguments.
        config: The ``SweepConfig`` they describe.

    Returns:
        The exit code.
    """
    from dofbook.sweeps.tables import check_table_path

    store, out, executor = Store(args.store), Output(args.json), _executor(args)
    _check_retries(args)
    batching = _batching(args)
    if args.table:
        check_table_path(args.table)
    if args.adaptive or args.level:
        return _adaptive(args, config, store, out, executor, batching)
    cells = _part(config.cells(), args.part)
    if args.dry_run:
        _plan(cells, store, out, args.data_dir, batching)
        return 0
    try:
        report = executors.run_sweep(
            cells, store, executor, args.data_dir, progress=not args.json,
            run_cell=_run_cell(batching), retries=args.retries, notify=out.event,
        )  # fmt: skip
    except KeyboardInterrupt:
        _say_interrupted(store, cells, out)
        return EXIT_INTERRUPTED
    out.say(
        f"{len(cells)} cells: {report.stored} were stored, {report.computed} computed, "
        f"{len(report.failures)} failed."
    )
    if report.failures:
        for name, text in report.failures.items():
            out.complain(f"cell {name} failed:\n{text}")
        if args.table:
            out.complain(f"{args.table} is not written, since cells are missing.")
        return EXIT_FAILED
    if args.table:
        _write_table(store, args.table, [cell.name for cell in cells], out)
    return 0


def _run_cell(batching):
    from dofbook.runs import Batching

    return run_cell if batching == Batching() else partial(run_cell, batching=batching)


def _say_interrupted(store: Store, cells, out: Output) -> None:
    kept = sum(store.path(cell.name).exists() for cell in cells)
    out.complain(
        f"interrupted with {kept} of {len(cells)} cells stored; "
        "the same command goes on from there."
    )


def _write_table(store: Store, path, names: list[str], out: Output) -> None:
    from dofbook.sweeps.tables import write_table

    rows = write_table(store, path, names)
    out.say(f"{path}: {rows} rows.")
    out.event({"event": "table", "path": str(path), "rows": rows})


def _adaptive(args, config, store: Store, out: Output, executor, batching) -> int:
    from dofbook.sweeps.adaptive import AdaptiveConfig, run_adaptive
    from dofbook.sweeps.executors import check_cells

    if not (args.adaptive and args.level):
        raise InputError("an adaptive sweep needs both --adaptive and --level.")
    if args.part:
        raise InputError("part shares a grid of cells; an adaptive sweep has no grid to share.")
    wanted = AdaptiveConfig(
        config, args.level, args.metric, args.half_width, args.delta, args.confidence
    )
    grid = _grid_cells(wanted)
    if args.dry_run:
        _plan(grid, store, out, args.data_dir, batching, "at most ")
        return 0
    check_cells(grid, [], args.data_dir)
    try:
        for t in config.burn_in_steps:
            *_, known = run_adaptive(
                wanted, t, store, executor, args.data_dir, not args.json, _run_cell(batching),
                out.event,
            )  # fmt: skip
            for found in known:
                _say_found(wanted, t, found, out)
    except KeyboardInterrupt:
        _say_interrupted(store, grid, out)
        return EXIT_INTERRUPTED
    if args.table:
        names = [cell.name for cell in grid if store.path(cell.name).exists()]
        _write_table(store, args.table, names, out)
    return 0


def _grid_cells(wanted) -> list:
    from dofbook.sweeps.adaptive import probe_cell

    first = wanted.sweep.first_seed
    return [
        probe_cell(wanted, t, (seed, point))
        for t in wanted.sweep.burn_in_steps
        for seed in range(first, first + wanted.sweep.runs)
        for point in range(len(wanted.grid))
    ]


def _say_found(wanted, t: int, found, out: Output) -> None:
    from dofbook.sweeps.bisection import reach

    threshold, runs = found.threshold, len(found.hits)
    wide = reach(threshold)
    out.say(
        f"t = {t}, {wanted.metric} {found.level:g}: d* = {threshold} "
        f"{threshold.interval_text()} at {wanted.confidence:.0%}, {runs} initializations, "
        f"{found.trainings} trainings (the full grid has {runs * len(wanted.grid)})"
        + (f"; wider than asked, {wide:.2f} octaves" if wide > wanted.half_width else "")
        + "."
    )
    out.event(
        {
            "event": "threshold",
            "burn_in_steps": t,
            "metric": wanted.metric,
            "level": found.level,
            "delta": wanted.delta,
            "confidence": wanted.confidence,
            **{
                name: value if math.isfinite(value := getattr(threshold, name)) else None
                for name in ("value", "lower", "upper")
            },
            "hits": [wanted.grid[h] if h < len(wanted.grid) else None for h in found.hits],
            "initializations": runs,
            "trainings": found.trainings,
        }
    )


# --- dry run -------------------------------------------------------------------------------


def _plan(cells, store: Store, out: Output, data_dir, batching, bound: str = "") -> None:
    """Print cells, steps, memory and time of what is missing; nothing is trained or written."""
    from dofbook.sweeps import estimates

    executors.check_cells(cells, [], data_dir)
    states, stored = _states(store, cells)
    rates = _rates(cells, stored, data_dir, batching)
    rows, total, peak = [], 0.0, 0.0
    for cell, state in zip(cells, states, strict=True):
        need = estimates.cell_need(cell, data_dir, batching)
        size = need.bytes + estimates.data_bytes(cell, data_dir)
        seconds = 0.0 if state == "done" else estimates.predict(rates, [cell])
        total, peak = total + (seconds or 0.0), max(peak, size)
        rows.append([*_place(cell), state, len(cell.seeds), need.steps, size, seconds])
        out.event(
            {
                "event": "plan", **events.describe(cell), "state": state, "steps": need.steps,
                "runs_together": need.together, "bytes": size, "seconds": seconds,
            }
        )  # fmt: skip
    columns = [*_PLACE, "state", "runs", "steps", "memory", "time"]
    table = pd.DataFrame(rows, columns=columns)
    shown = {"memory": memory, "time": duration}
    out.say(table.to_string(index=False, formatters=shown))
    left = [cell for cell, state in zip(cells, states, strict=True) if state != "done"]
    steps = int(table.loc[table["state"] != "done", "steps"].sum())
    out.say(
        f"{len(cells)} cells in {store.root}: {_count(states)}. Left: {bound}{len(left)} cells, "
        f"{steps:,} steps, {bound}{duration(total)} one after the other on this machine; up to "
        f"{memory(peak)} at once."
    )


def _rates(cells, stored: list[StoredCell], data_dir, batching) -> dict:
    """Take rates from stored cells of the same kind; measure what is not known."""
    from dofbook.sweeps import estimates

    rates = estimates.fit_rates(stored)
    for task in dict.fromkeys(cell.task for cell in cells):
        of_task = [cell for cell in cells if cell.task == task]
        if estimates.predict(rates, of_task) is None:
            largest = max((cell.d or 1 for cell in of_task), default=1)
            sample = max(of_task, key=lambda cell: cell.d or 0)
            measured = estimates.measure_rates(sample, largest, data_dir, batching)
            rates |= {estimates.kind(cell): measured for cell in of_task}
    return rates


# --- status --------------------------------------------------------------------------------

_PLACE = ["dataset", "network", "method", "t", "d"]


def _place(cell) -> list:
    task = cell.task
    return [task.dataset, task.network, cell.method, cell.burn_in_steps, cell.d or "full"]


def _states(store: Store, cells) -> tuple[list[str], list[StoredCell]]:
    """Tell the state of every cell and read those that are done, changing nothing on disk."""
    failures, states, stored = store.failures(), [], []
    for cell in cells:
        try:
            stored.append(store.read(cell.name))
            states.append("done")
        except DamagedCell:
            states.append("damaged")
        except FileNotFoundError:
            states.append("failed" if cell.name in failures else "missing")
    return states, stored


def _count(states: list[str]) -> str:
    order = ("done", "failed", "missing", "damaged")
    return ", ".join(f"{states.count(s)} {s}" for s in order if s in states)


def _print_states(store: Store, cells, out: Output) -> None:
    """Count cells by state per method, burn-in time and d; say how fast it goes."""
    states, stored = _states(store, cells)
    rows = [[*_place(cell), state] for cell, state in zip(cells, states, strict=True)]
    table = pd.DataFrame(rows, columns=[*_PLACE, "state"])
    counts = table.groupby(_PLACE, sort=False)["state"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=["done", "failed", "missing", "damaged"], fill_value=0)
    out.say(counts.reset_index().to_string(index=False))
    failures = store.failures()
    for cell, state in zip(cells, states, strict=True):
        if state == "failed":
            last = failures[cell.name].traceback.strip().splitlines()[-1]
            out.say(f"failed: {cell.name} (t = {cell.burn_in_steps}, d = {cell.d}): {last}")
    left = [cell for cell, state in zip(cells, states, strict=True) if state != "done"]
    speed = _speed(stored, left)
    out.say(f"{len(cells)} cells in {store.root}: {_count(states)}.{_say_speed(speed)}")
    out.event(
        {
            "event": "status", "store": str(store.root), "cells": len(cells),
            **{s: states.count(s) for s in ("done", "failed", "missing", "damaged")}, **speed,
        }
    )  # fmt: skip


def _speed(stored: list[StoredCell], left) -> dict:
    """Measure cells per hour and the time left, by the wall times beside the stored cells."""
    from dofbook.sweeps import estimates

    spent = sum(cell.provenance.get("wall_seconds") or 0.0 for cell in stored)
    at_once = estimates.parallelism(stored)
    seconds = estimates.predict(estimates.fit_rates(stored), left)
    return {
        "cells_per_hour": 3600 * len(stored) * at_once / spent if spent else None,
        "at_a_time": at_once if spent else None,
        "seconds_left": None if seconds is None else seconds / at_once,
    }


def _say_speed(speed: dict) -> str:
    if speed["cells_per_hour"] is None:
        return ""
    text = f" {speed['cells_per_hour']:.3g} cells per hour, {speed['at_a_time']:.1f} at a time"
    left = speed["seconds_left"]
    return text + (f"; about {duration(left)} left." if left else ".")


def existing_store(args: argparse.Namespace) -> Store:
    """Open a store that must be there.

    Args:
        args: The parsed arguments.

    Returns:
        The store.

    Raises:
        InputError: If there is none.
    """
    store = Store(args.store)
    if not store.root.exists():
        raise InputError(f"there is no store {store.root}.")
    return store


def _known_cells(store: Store, out: Output) -> list:
    """List the cells a store knows of; name its damaged files."""
    found = {name: failed.config for name, failed in store.failures().items()}
    for name in store.names():
        try:
            found[name] = store.read(name).config
        except DamagedCell as problem:
            out.say(f"damaged: {store.path(name)}: {problem}.")

    def order(cell):
        where = cell.task.dataset, cell.task.network, cell.method
        return *where, cell.burn_in_steps, cell.d or 0, cell.name

    return sorted(found.values(), key=order)


def status(args: argparse.Namespace, config) -> int:
    """Count the cells of a store or of one sweep in it.

    Args:
        args: The parsed arguments.
        config: The ``SweepConfig``, None for everything in the store.

    Returns:
        The exit code.
    """
    store, out = existing_store(args), Output(args.json)
    cells = config.cells() if config else _known_cells(store, out)
    if cells:
        _print_states(store, cells, out)
    else:
        out.say(f"{store.root} holds no cells.")
        out.event({"event": "status", "store": str(store.root), "cells": 0})
    return 0


# --- table and verify ----------------------------------------------------------------------


def table(args: argparse.Namespace, config) -> int:
    """Join a store, or one sweep of it, into one table.

    Args:
        args: The parsed arguments.
        config: The ``SweepConfig``, None for everything in the store.

    Returns:
        The exit code.
    """
    from dofbook.sweeps.tables import write_table

    store, out = existing_store(args), Output(False)
    names = [cell.name for cell in config.cells()] if config else None
    rows = write_table(store, args.output, names)
    missing = sum(not store.path(name).exists() for name in names or ())
    note = f"; {missing} of {len(names)} cells are missing" if missing else ""
    out.say(f"{args.output}: {rows} rows{note}.")
    return 0


def verify(args: argparse.Namespace, config) -> int:
    """Run a sample of stored runs again and compare.

    Args:
        args: The parsed arguments.
        config: The ``SweepConfig``, None for everything in the store.

    Returns:
        The exit code: 1 if a run differs by more than this machine explains.
    """
    from dofbook.sweeps import verification

    store, out = existing_store(args), Output(args.json)
    names = store.names()
    if config:
        wanted = {cell.name for cell in config.cells()}
        names = [name for name in names if name in wanted]
    if args.seed < 0:
        raise InputError(f"seed is {args.seed}; it must be at least 0.")
    sample = verification.draw_sample(names, args.sample, args.seed)
    failed = 0
    for check in verification.verify(store, sample, args.seed, args.data_dir, _batching(args)):
        failed += not check.passed
        verdict = check.state if check.passed or check.state == "different" else "not identical"
        out.say(
            f"{check.cell.name} (t = {check.cell.burn_in_steps}, d = {check.cell.d}, seed "
            f"{check.seed}): {verdict}; loss differs by {check.loss_difference:.1e} of itself, "
            f"accuracy by {check.accuracy_difference:.1e}, {duration(check.seconds)}."
        )
        out.event(_check_event(check))
    out.say(f"{len(sample)} of {len(names)} cells were checked, {failed} failed.")
    return EXIT_FAILED if failed else 0


def _check_event(check) -> dict:
    return {
        "event": "verify",
        **events.describe(check.cell),
        "seed": check.seed,
        "state": check.state,
        "bits_expected": check.bits_expected,
        "passed": check.passed,
        "loss_difference": check.loss_difference,
        "accuracy_difference": check.accuracy_difference,
        "seconds": check.seconds,
    }
