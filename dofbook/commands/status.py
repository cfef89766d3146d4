"""``dofbook status``: what is done, how fast it goes, when the rest will be."""

import argparse

import pandas as pd

from dofbook.commands.output import Output, duration
from dofbook.errors import InputError
from dofbook.experiments import estimates
from dofbook.experiments.config import Cell, SweepConfig
from dofbook.experiments.store import DamagedCell, Store, StoredCell

PLACE = ["dataset", "network", "method", "t", "d"]
"""Columns that say where a cell stands in a sweep."""
STATES = ["done", "failed", "missing", "damaged"]


def place(cell: Cell) -> list:
    """Say where a cell stands in a sweep.

    Args:
        cell: The cell.

    Returns:
        The values of ``PLACE``.
    """
    task, (method, t, d) = cell.task, cell.place().values()
    return [task.dataset, task.network, method, t, d or "full"]


def read_states(store: Store, cells: list[Cell]) -> tuple[list[str], list[StoredCell]]:
    """Tell the state of every cell and read those that are done, changing nothing on disk.

    Args:
        store: The store.
        cells: The cells.

    Returns:
        One of ``STATES`` for each cell, and the cells that are done.
    """
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

    Args:
        states: One for each cell.

    Returns:
        Such as "4 done, 1 failed".
    """
    return ", ".join(f"{states.count(s)} {s}" for s in STATES if s in states)


def _print_states(store: Store, cells, out: Output) -> None:
    """Count cells by state per method, burn-in time and d; say how fast it goes."""
    states, stored = read_states(store, cells)
    rows = [[*place(cell), state] for cell, state in zip(cells, states, strict=True)]
    table = pd.DataFrame(rows, columns=[*PLACE, "state"])
    counts = table.groupby(PLACE, sort=False)["state"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=STATES, fill_value=0)
    out.say(counts.reset_index().to_string(index=False))
    failures = store.failures()
    for cell, state in zip(cells, states, strict=True):
        if state == "failed":
            last = failures[cell.name].traceback.strip().splitlines()[-1]
            _, _, _, t, d = place(cell)
            out.say(f"failed: {cell.name} (t = {t}, d = {d}): {last}")
    left = [cell for cell, state in zip(cells, states, strict=True) if state != "done"]
    speed = _speed(stored, left)
    out.say(f"{len(cells)} cells in {store.root}: {count_states(states)}.{_say_speed(speed)}")
    out.event(
        {
            "event": "status", "store": str(store.root), "cells": len(cells),
            **{s: states.count(s) for s in STATES}, **speed,
        }
    )  # fmt: skip


def _speed(stored: list[StoredCell], left) -> dict:
    """Measure cells per hour and the time left, by the wall times beside the stored cells."""
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
        *where, d = place(cell)
        return *where, d if isinstance(d, int) else 0, cell.name

    return sorted(found.values(), key=order)


def status(args: argparse.Namespace, config: SweepConfig | None) -> int:
    """Count the cells of a store or of one sweep in it.

    Args:
        args: The parsed arguments.
        config: The sweep; None for everything in the store.

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
