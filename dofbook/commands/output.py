"""How commands speak, and where they may write: text to people, events to machines."""

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from dofbook.errors import InputError


@Parameter(name="*")
@dataclass(frozen=True)
class Output:
    """Speak to people in text, or to machines in events: never both on one stream.

    Args:
        json: One event a line, for machines.
        quiet: Print nothing but errors.
    """

    json: bool = False
    quiet: bool = False

    @property
    def for_people(self) -> bool:
        """Whether text and a progress line are shown."""
        return not (self.json or self.quiet)

    def say(self, text: str) -> None:
        """Print a line for people."""
        if self.for_people:
            sys.stdout.write(text + "\n")

    def event(self, event: dict) -> None:
        """Print an event for machines, one line of JSON, at once.

        Events: "start" (cells, stored, missing), "cell" (name, method, t, d, seeds, state, seconds,
        error), "end" (stored, computed, failed), "table" (path, rows), and "plan", "status",
        "verify" and "threshold" of what says so.
        """
        if self.json:
            sys.stdout.write(json.dumps(event) + "\n")
            sys.stdout.flush()

    def complain(self, text: object) -> None:
        """Print a line of trouble on standard error."""
        sys.stderr.write(f"dofbook: {text}\n")


def duration(seconds: float | None) -> str:
    """Write a time as people say it; None is a time that is not known.

    >>> duration(40), duration(750), duration(200_000)
    ('40 s', '12 min', '2.3 days')
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

    >>> memory(2**20), memory(3 * 2**29)
    ('1 MiB', '1.5 GiB')
    """
    return f"{size / 2**20:.0f} MiB" if size < 2**30 else f"{size / 2**30:.1f} GiB"


def columns(names: Sequence[str], rows: Iterable[Sequence]) -> str:
    """Write a table, its columns to the right.

    >>> print(columns(["t", "cells"], [[0, 12], [16, 3]]))
     t cells
     0    12
    16     3
    """
    lines = [list(map(str, row)) for row in (names, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(" ".join(map(str.rjust, line, widths)) for line in lines)


def cause(traceback: str) -> str:
    """Find the line of a traceback that says what went wrong, above JAX's remark on its frames.

    >>> cause("Traceback ...\\nValueError: no")
    'ValueError: no'
    """
    own = traceback.partition("\n--------------------\nFor simplicity, JAX has removed")[0]
    return (own.strip() or "no reason is recorded").splitlines()[-1]


def check_file(path: Path, store: Path) -> None:
    """Refuse a file that cannot be written, or lies in the store it is made from."""
    if store.resolve() in path.resolve().parents:
        raise InputError(f"{path} lies in the store {store}, which it would change; name another.")
    from dofbook import checks  # here: it takes NumPy, which help does without

    checks.output_file(path)
    check_folder(path.absolute().parent, path)


def check_folder(folder: Path, wanted: Path | None = None) -> None:
    """Refuse a folder in which no file can be written; one that is not there yet is not made."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as problem:
        raise InputError(f"{wanted or folder} cannot be written: {problem.strerror}.") from None


def check_devices() -> None:
    """Refuse to compute where JAX finds no device, as with JAX_PLATFORMS=cuda without a GPU."""
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as problem:
        wanted = f"no device with JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS')}"
        reason = str(problem).partition("\n")[0] or "no backend answers"
        raise InputError(f"JAX finds {wanted}: {reason.rstrip('.')}.") from None
