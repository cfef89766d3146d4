"""How the command line reads values: integers, numbers, lists and paths, each in a sentence."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from dofbook.errors import InputError


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{text!r} is not an integer.") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{text!r} is not a number.") from None


def _integers(text: str) -> tuple[int, ...]:
    """Read "1,2,4", "1:4096:x2" or "octaves:4096"."""
    from dofbook.experiments import octaves

    try:
        if text.startswith("octaves:"):
            return octaves(int(text.removeprefix("octaves:")))
        if steps := re.fullmatch("(.+):(.+):x(.+)", text):
            return octaves(int(steps[2]), int(steps[1]), float(steps[3]))
        return tuple(int(entry) for entry in text.split(","))
    except InputError:
        raise
    except ValueError:
        raise InputError(
            f"{text!r} is no list of integers; write 1,2,4 or 1:4096:x2 or octaves:4096."
        ) from None


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(entry) for entry in text.split(","))
    except ValueError:
        raise InputError(f"{text!r} is not a list of numbers such as 0.5,0.9.") from None


def _path(text: str) -> Path:
    if not text:  # an unset variable; Path would make it the current folder
        raise InputError("it is empty; name a file or folder.")
    return Path(text)


def _reading(read: Callable[[str], Any], metavar: str, hyphen: bool = True) -> Parameter:
    return Parameter(
        converter=lambda _, tokens: read(tokens[0].value), metavar=metavar, n_tokens=1,
        allow_leading_hyphen=hyphen,
    )  # fmt: skip


READING: dict[Any, Parameter] = {
    int: _reading(_integer, "N"),
    float: _reading(_number, "X"),
    str: _reading(str, "VALUE", hyphen=False),
    tuple[int, ...]: _reading(_integers, "N,..."),
    tuple[float, ...]: _reading(_numbers, "X,..."),
}
"""How a value of each type is read."""

Whole = Annotated[int, READING[int]]
Real = Annotated[float, READING[float]]
Reals = Annotated[tuple[float, ...], READING[tuple[float, ...]]]
Place = Annotated[Path, _reading(_path, "PATH", hyphen=False)]
OutFile = Annotated[Path, _reading(_path, "PATH", hyphen=False), Parameter(alias="-o")]
Flat = Parameter(name="*")
"""Makes each field of a dataclass an option of its own."""
