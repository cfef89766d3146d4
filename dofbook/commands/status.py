"""``dofbook status``: what is done, how fast it goes, when the rest will be."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd

from dofbook import experiments
from dofbook.commands.describing import described, describes_sweep
from dofbook.commands.options import Flat, Place
from dofbook.commands.output import Output, cause, duration
from dofbook.errors import InputError
from dofbook.experiments.config import Cell
from dofbook.experiments.store import DamagedCell, Store, StoredCell

PLACE = ["dataset", "network", "method", "t", "d"]
"""Columns that say where a cell stands in a sweep."""
STATES = ["done", "failed", "missing", "damaged"]


@describes_sweep
def status(
    *,
    chosen: Any = None,
    store: Place = Path("store"),
    out: Annotated[Output, Flat] = Output(),  # noqa: B008  (frozen)
) -> int:
    """Count the cells of a store, or of one sweep in it.

    Args:
        store: Folder of the cells.
    """
    config, found = described(chosen), existing_store(store)
    cells = config.cells() if config else _known_cells(found, out)
    if cells:
        _print_states(found, cells, out)
    else:
        out.say(f"{found.root} holds no cells.")
        out.event({"event": "status", "store": str(found.root), "cells": 0})
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


def read_states(store: Store, cells: Sequence[Cell]) -> tuple[list[str], list[StoredCell]]:
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


def count_states(states: list[str]) -> str:
    """Count states in words.

    >>> count_states(["failed", "done", "done"])
    '2 done, 1 failed'
    """
    return ", ".join(f"{states.count(s)} {s}" for s in STATES if s in states)


def _print_states(store: Store, cells: Sequence[Cell], out: Output) -> None:
    """Count cells by state per method, burn-in time and d; say how fast it goes."""
    states, stored = read_states(store, cells)
    found = list(zip(cells, states, strict=True))
    rows = [[*place(cell), state] for cell, state in found]
    table = pd.DataFrame(rows, columns=[*PLACE, "state"])
    counts = table.groupby(PLACE, sort=False)["state"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=STATES, fill_value=0)
    out.say(counts.reset_index().to_string(index=False))
    failures = store.failures()
    for cell in (cell for cell, state in found if state == "failed"):
        *_, t, d = place(cell)
        why = cause(failures[cell.name].traceback)
        out.say(f"failed: {cell.name} (t = {t}, d = {d}): {why}")
    left = [cell for cell, state in found if state != "done"]
    speed = _speed(stored, left)
    out.say(f"{len(cells)} cells in {store.root}: {count_states(states)}.{_say_speed(speed)}")
    out.event({
        "event": "status", "store": str(store.root), "cells": len(cells),
        **{s: states.count(s) for s in STATES}, **speed,
    })  # fmt: skip


def _speed(stored: list[StoredCell], left) -> dict:
    """Measure cells per hour and the time left, by the wall times of the device used last."""
    estimates = experiments.estimates
    recent = estimates.of_last_device(stored)
    spent = sum(cell.provenance.get("wall_seconds") or 0.0 for cell in recent)
    if not spent:
        return dict.fromkeys(("device", "cells_per_hour", "at_a_time", "seconds_left"))
    at_once = estimates.parallelism(recent)
    seconds = estimates.predict(estimates.fit_rates(recent), left)
    return {
        "device": estimates.device_of(recent[0]).get("kind"),
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


def _known_cells(store: Store, out: Output) -> list[Cell]:
    """List the cells a store knows of; name its damaged files."""
    found = {name: failed.config for name, failed in store.failures().items()}
    for name in store.names():
        try:
            found[name] = store.read(name).config
        except DamagedCell as problem:
            out.say(f"damaged: {store.path(name)}: {problem}.")
        except FileNotFoundError:  # moved aside or deleted meanwhile
            continue

    def order(cell):
        *where, d = place(cell)
        return *where, d if isinstance(d, int) else 0, cell.name

    return sorted(found.values(), key=order)
