"""The command line: what ``dofbook`` and ``python -m dofbook`` run."""

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from dofbook.errors import InputError, RunFailed
from dofbook.interrupts import heard_interrupts
from dofbook.references import HOME, sentence_on

EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED = 1, 2, 130
_CLOSED = (errno.EPIPE, errno.ENOSPC, errno.EBADF, errno.EIO)
"""How a stream that takes nothing any more shows itself."""


def _open_streams() -> None:
    """Put something in place of closed streams; write what an encoding lacks as escapes."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  (for the whole process)
        with suppress(AttributeError, ValueError, OSError):  # a notebook's streams have no such
            getattr(sys, name).reconfigure(errors="backslashreplace")


def _flush(stream: IO[str], lost: OSError | None = None) -> OSError | None:
    """Tell why a stream takes nothing any more, if so; then nothing is flushed to it at exit."""
    try:
        stream.flush()
    except OSError as problem:
        lost = problem
    if lost is not None:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return lost


def _complain(text: object) -> None:
    with suppress(OSError):
        sys.stderr.write(f"dofbook: {text}\n")
    _flush(sys.stderr)


@contextmanager
def _warnings_shown(quiet: bool) -> Iterator[None]:
    """Print what the package logs as lines like others; if ``quiet``, errors alone."""
    log, shown = logging.getLogger(__package__), logging.StreamHandler()
    shown.setFormatter(logging.Formatter("dofbook: %(message)s"))
    shown.setLevel(logging.ERROR if quiet else logging.WARNING)
    log.addHandler(shown)
    try:
        yield
    finally:
        log.removeHandler(shown)


def main(argv: list[str] | None = None) -> int:
    """Run the command line, by default with the process's arguments, and give its exit code.

    It is 0, or 1 if something failed, 2 if the input is wrong, 130 if interrupted. Other exceptions
    pass, so that they show their traceback and the process exits with 1.
    """
    # Modules of one's own in the current folder, as for python -m, and the book's experiments.
    sys.path += [place for place in ("", str(HOME / "book")) if place not in sys.path]
    _open_streams()
    code, lost, line = EXIT_FAILED, None, sys.argv[1:] if argv is None else argv
    try:
        if sys.flags.optimize > 1:
            raise InputError("PYTHONOPTIMIZE=2 drops what help and checks are made of; unset it.")
        with heard_interrupts(), _warnings_shown("--quiet" in line):
            from dofbook.commands.app import run_line

            code = run_line(line)
    except (InputError, RunFailed) as problem:
        _complain(problem)
        code = EXIT_INPUT if isinstance(problem, InputError) else EXIT_FAILED
    except KeyboardInterrupt:
        _complain("interrupted.")
        code = EXIT_INTERRUPTED
    except Exception as problem:
        if isinstance(problem, OSError) and problem.errno in _CLOSED and problem.filename is None:
            lost = problem  # of a stream; the store's own errors are sentences
        elif sentence := sentence_on(problem):
            _complain(sentence)
            code = EXIT_INPUT
        else:
            raise
    lost = _flush(sys.stdout, lost)
    if lost is None:
        return code
    if lost.errno != errno.EPIPE:  # as when a reader such as head has read enough
        _complain(f"standard output cannot be written: {lost.strerror}.")
    return code or EXIT_FAILED
