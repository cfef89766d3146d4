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
    return {**cell.names, **cell.place(), "seeds": list(cell.seeds)}
