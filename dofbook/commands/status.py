"""``dofbook status`` and ``dofbook sweep --dry-run``: what is done, and what the rest will take."""

import logging
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dofbook.commands.describing import described, describes_sweep
from dofbook.commands.options import Place
from dofbook.commands.output import Output, cause, columns, duration, memory
from dofbook.commands.running import Batched
from dofbook.errors import InputError
from dofbook.experiments import timing
from dofbook.experiments.config import Cell
from dofbook.experiments.index import other_commits, read_headers
from dofbook.experiments.store import Store, StoredCell

if TYPE_CHECKING:
    from dofbook.experiments.estimates import Need

log = logging.getLogger(__name__)

PLACE = ["dataset", "network", "method", "t", "d"]
"""Columns that say where a cell stands in a sweep."""
STATES = ["done", "failed", "missing", "damaged"]


@describes_sweep
def status(
    *,
    chosen: Any = None,
    store: Place = Path("store"),
    out: Output = Output(),  # noqa: B008  (frozen)
) -> int:
    """Count the cells of a store, or of one sweep in it.

    Args:
        store: Folder of the cells.
    """
    config, found = described(chosen), existing_store(store)
    wanted = {cell.name: cell for cell in config.cells()} if config else None
    headers, damaged = read_headers(found, wanted)
    failures = found.failures()
    if wanted is None:
        known = {name: cell.config for name, cell in {**failures, **headers}.items()}
        wanted = dict(sorted(known.items(), key=_order))
        for name, problem in damaged.items():
            out.say(f"left out: {found.path(name)}: {problem}.")
        for path in found.asides():
            out.say(f"left out: {path}: it was damaged, and is not computed again.")
    if not wanted:
        out.say(f"{found.root} holds no cells.")
        out.event({"event": "status", "store": str(found.root), "cells": 0})
        return 0
    states = states_of(wanted, headers, damaged, failures)
    at: dict[tuple, Counter[str]] = {}
    for name, state in states.items():
        at.setdefault(tuple(place(wanted[name])), Counter())[state] += 1
    rows = [[*where, *(counts[state] for state in STATES)] for where, counts in at.items()]
    out.say(columns([*PLACE, *STATES], rows))
    for name, state in states.items():
        if state == "failed":
            *_, t, d = place(wanted[name])
            out.say(f"failed: {name} (t = {t}, d = {d}): {cause(failures[name].traceback)}")
    speed = _speed(list(headers.values()), [wanted[n] for n, s in states.items() if s != "done"])
    totals, counted = Counter(states.values()), count_states(states.values())
    out.say(f"{len(wanted)} cells in {found.root}: {counted}.{_say_speed(speed)}")
    if sentence := other_commits(headers.values()):
        log.warning("%s", sentence)
    out.event({
        "event": "status", "store": str(found.root), "cells": len(wanted),
        **{state: totals[state] for state in STATES}, **speed,
    })  # fmt: skip
    return 0


def existing_store(folder: Path) -> Store:
    """Open a store that must be there and readable."""
    store = Store(folder)
    if not store.root.exists():
        raise InputError(f"there is no store {store.root}.")
    try:
        os.scandir(store.root).close()
    except OSError as problem:
        raise InputError(f"the store {store.root} cannot be read: {problem.strerror}.") from None
    return store


def place(cell: Cell) -> list:
    """Say where a cell stands in a sweep: the values of ``PLACE``."""
    method, t, d = cell.place().values()
    return [cell.task.dataset, cell.task.network, method, t, d or "full"]


def states_of(
    wanted: Iterable[str], headers: Collection[str], damaged: Collection[str],
    failures: Collection[str],
) -> dict[str, str]:  # fmt: skip
    """Tell the state of every cell by the names of those that are done, damaged or failed."""
    known = {"done": headers, "damaged": damaged, "failed": failures}
    return {
        name: next((state for state, names in known.items() if name in names), "missing")
        for name in wanted
    }


def _order(named: tuple[str, Cell]) -> tuple:
    name, (*where, d) = named[0], place(named[1])
    return *where, d if isinstance(d, int) else 0, name


def count_states(states: Iterable[str]) -> str:
    """Count states in words.

    >>> count_states(["failed", "done", "done"])
    '2 done, 1 failed'
    """
    counts = Counter(states)
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])


def _speed(stored: list[StoredCell], left: list[Cell]) -> dict:
    """Measure cells per hour and the time left, by the wall times of the device used last."""
    recent = timing.of_last_device(stored)
    spent = sum(cell.provenance.get("wall_seconds") or 0.0 for cell in recent)
    if not spent:
        return dict.fromkeys(("device", "cells_per_hour", "at_a_time", "seconds_left"))
    at_once = timing.parallelism(recent)
    seconds = timing.predict(timing.fit_rates(recent), left) if left else 0.0
    return {
        "device": timing.device_of(recent[0]).get("kind"),
        "cells_per_hour": 3600 * len(recent) * at_once / spent, "at_a_time": at_once,
        "seconds_left": None if seconds is None else seconds / at_once,
    }  # fmt: skip


def _say_speed(speed: dict) -> str:
    device, rate, at_once, left = speed.values()
    if rate is None:
        return ""
    where = f" on {device}" if device else ""
    end = f"; about {duration(left)} left." if left else "."
    return f" {rate:.3g} cells per hour{where}, {at_once:.1f} at a time{end}"


def print_plan(
    cells: Sequence[Cell], store: Store, where: Batched, out: Output, bound: str = "",
    measure: bool = False,
) -> None:  # fmt: skip
    """Print what is missing and what it takes, numbers after ``bound``, such as "at most ".

    Only to ``measure`` needs JAX: without it times are those that stored cells tell.
    """
    wanted = {cell.name: cell for cell in cells}
    headers, damaged = read_headers(store, wanted)
    states = states_of(wanted, headers, damaged, store.failures())
    left = [wanted[name] for name, state in states.items() if state != "done"]
    stored, rows, end = list(headers.values()), [], "Nothing is left."
    recent = timing.of_last_device(stored)
    plans = (_plans(left, stored, store, where) if measure else _told(left, recent)) if left else {}
    for name, state in states.items():
        cell, (need, size, seconds) = wanted[name], plans.get(name, (None, 0.0, 0.0))
        shown = ["-"] * 2 if need is None else [need.steps, memory(size)]
        shown.append(duration(seconds) if name in plans else "-")
        rows.append([*place(cell), state, len(cell.seeds), *shown])
        out.event({
            "event": "plan", **cell.labels(), "state": state,
            "steps": need and need.steps, "runs_together": need and need.together,
            "bytes": size, "seconds": seconds,
        })  # fmt: skip
    out.say(columns([*PLACE, "state", "runs", "steps", "memory", "time"], rows))
    if plans:
        end = f"Left: {bound}{len(left)} cells, {_sum_up(plans, recent, bound)}"
    out.say(f"{len(cells)} cells in {store.root}: {count_states(states.values())}. {end}")


def _sum_up(plans: dict[str, tuple], recent: list[StoredCell], bound: str) -> str:
    needs, sizes, times = zip(*plans.values(), strict=True)
    total = "?" if None in times else bound + duration(sum(times))
    if None in needs:
        device = timing.device_of(recent[0]).get("kind") if recent else None
        known = "time unknown" if total == "?" else f"{total} on the device used last ({device})"
        return f"{known}; with --measure steps, memory and time on this machine."
    return (
        f"{sum(need.steps for need in needs):,} steps, {total} one after the other on this "
        f"machine; up to {memory(max(sizes))} at once."
    )


def _told(left: Sequence[Cell], recent: list[StoredCell]) -> dict[str, tuple]:
    """Say what is known of cells without JAX: the seconds, where stored ones tell them."""
    rates = timing.fit_rates(recent)
    return {cell.name: (None, None, timing.predict(rates, [cell])) for cell in left}


def _plans(
    left: Sequence[Cell], stored: list[StoredCell], store: Store, where: Batched
) -> "dict[str, tuple[Need, float, float]]":
    """Say what each cell takes, its bytes and its seconds, after checking them all.

    Rates are those of stored cells of the same kind and device; what is not known is measured.
    """
    from dofbook.experiments import estimates
    from dofbook.experiments.executors import check_cells
    from dofbook.provenance import devices

    how = (where.data_dir, where.make_batching())
    check_cells(left, (), where.data_dir, store)
    here = devices()[0]
    rates = timing.fit_rates(cell for cell in stored if timing.device_of(cell) == here)
    for task in dict.fromkeys(cell.task for cell in left):
        of_task = [cell for cell in left if cell.task == task]
        if timing.predict(rates, of_task) is None:
            sample = max(of_task, key=lambda cell: cell.work().d)
            measured = estimates.measure_rates(sample, sample.work().d or 1, *how)
            rates |= {cell.work().kind: measured for cell in of_task}
    found = {}
    for cell in left:
        need, seconds = estimates.cell_need(cell, *how), timing.predict(rates, [cell])
        size = need.bytes + estimates.data_bytes(cell, where.data_dir)
        found[cell.name] = (need, size, seconds)
    return found
