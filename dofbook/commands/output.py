"""How commands speak: text to people, events to machines, never both on one stream."""

import sys
from dataclasses import dataclass

from dofbook.experiments import events


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
