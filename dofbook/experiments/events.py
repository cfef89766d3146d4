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
    return {
        "cell": cell.name,
        "dataset": cell.task.dataset,
        "network": cell.task.network,
        **cell.place(),
        "seeds": list(cell.seeds),
    }


def started(store, cells, missing) -> dict:
    """Say that a sweep begins."""
    return {
        "event": "start",
        "store": str(store.root),
        "cells": len(cells),
        "stored": len(cells) - len(missing),
        "missing": len(missing),
    }


def ended(cell: Cell, outcome, again: bool) -> dict:
    """Say how a cell ended.

    Its state is "done", "found" (another sweep was faster), "retried" or "failed".

    Args:
        again: Whether it will be tried again if it failed.
    """
    if outcome.error is None:
        state = "found" if outcome.found else "done"
    else:
        state = "retried" if again else "failed"
    return {
        "event": "cell",
        **describe(cell),
        "state": state,
        "seconds": outcome.seconds,
        "error": outcome.error,
    }


def finished(report) -> dict:
    """Say that a sweep ends."""
    return {
        "event": "end",
        "stored": report.stored,
        "computed": report.computed,
        "failed": len(report.failures),
    }
