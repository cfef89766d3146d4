"""What a sweep tells a machine that follows it: small dictionaries, one line of JSON each.

Events: "start" (cells, stored, missing), "cell" (name, method, t, d, seeds, state, seconds, error),
"end" (stored, computed, failed), "table" (path, rows) and, from other commands, "plan", "status",
"verify" and "threshold".
"""

import json
from collections.abc import Callable
from typing import IO

from dofbook.experiments.config import Cell


def writer(file: IO[str]) -> Callable[[dict], None]:
    """Write events to a file as they come, each line flushed, so that a reader sees it at once.

    >>> import sys
    >>> writer(sys.stdout)({"event": "end"})
    {"event": "end"}
    """

    def write(event: dict) -> None:
        file.write(json.dumps(event) + "\n")
        file.flush()

    return write


def describe(cell: Cell) -> dict:
    """Name a cell to a machine: its hash and what distinguishes it in a sweep."""
    names = {"cell": cell.name, "dataset": cell.task.dataset, "network": cell.task.network}
    return {**names, **cell.place(), "seeds": list(cell.seeds)}


def started(store, cells, missing) -> dict:
    """Say that a sweep begins."""
    counts = {"cells": len(cells), "stored": len(cells) - len(missing), "missing": len(missing)}
    return {"event": "start", "store": str(store.root), **counts}


def ended(cell: Cell, outcome, again: bool) -> dict:
    """Say how a cell ended: done, found (another was faster), failed, or retried if ``again``."""
    if outcome.error is None:
        state = "found" if outcome.found else "done"
    else:
        state = "retried" if again else "failed"
    about = {"state": state, "seconds": outcome.seconds, "error": outcome.error}
    return {"event": "cell", **describe(cell), **about}


def finished(report) -> dict:
    """Say that a sweep ends."""
    counts = {"stored": report.stored, "computed": report.computed}
    return {"event": "end", **counts, "failed": len(report.failures)}
