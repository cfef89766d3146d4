"""How the command line reads values: integers, numbers, lists and paths, each in a sentence."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from dofbook.errors import InputError


def _integers(text: str) -> tuple[int, ...]:
    """Read "1,2,4", "1:4096:x2" or "octaves:4096"."""
    from dofbook.experiments import octaves

    if text.startswith("octaves:"):
        return octaves(int(text.removeprefix("octaves:")))
    if steps := re.fullmatch("(.+):(.+):x(.+)", text):
        return octaves(int(steps[2]), int(steps[1]), float(steps[3]))
    return tuple(map(int, text.split(",")))


def _floats(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


def _path(text: str) -> Path:
    if not text:  # an unset variable; Path would make it the current folder
        raise InputError("it is empty; name a file or folder.")
    return Path(text)


def _reading(read: Callable[[str], Any], metavar: str, fault: str = "") -> Parameter:
    """Read a value; what begins with a hyphen is one if it may be a number."""

    def convert(_, tokens):
        text = tokens[0].value
        try:
            return read(text)
        except InputError:
            raise
        except ValueError:
            raise InputError(f"{text!r} is {fault}.") from None

    return Parameter(
        converter=convert, metavar=metavar, n_tokens=1, allow_leading_hyphen=bool(fault)
    )  # fmt: skip


_LIST = "no list of integers; write 1,2,4 or 1:4096:x2 or octaves:4096"
READING: dict[Any, Parameter] = {
    int: _reading(int, "N", "not an integer"),
    float: _reading(float, "X", "not a number"),
    str: _reading(str, "VALUE"),
    tuple[int, ...]: _reading(_integers, "N,...", _LIST),
    tuple[float, ...]: _reading(_floats, "X,...", "not a list of numbers such as 0.5,0.9"),
}
"""How a value of each type is read."""

Whole = Annotated[int, READING[int]]
Real = Annotated[float, READING[float]]
Reals = Annotated[tuple[float, ...], READING[tuple[float, ...]]]
Place = Annotated[Path, _reading(_path, "PATH")]
OutFile = Annotated[Path, _reading(_path, "PATH"), Parameter(alias="-o")]
