"""Checks of arguments: what is allowed comes back converted, the rest is refused in one sentence.

The first argument, but of `key`, is the name that the sentence uses.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
from numpy.typing import ArrayLike

from dofbook.errors import InputError


def integer(name: str, value: Any, least: int | None = 0, most: int | None = None) -> int:
    """Require a whole number; a bool, 2.0 and an array are none.

    >>> integer("d", 2.5, 1, 64)
    Traceback (most recent call last):
    dofbook.errors.InputError: d is 2.5; it must be a whole number from 1 to 64.
    """
    found = _numbers(value, "iu", scalar=True)
    if found is not None and (least is None or found >= least) and (most is None or found <= most):
        return int(found)
    if most is None and isinstance(value, int) and value.bit_length() > 63:
        most = 2**63 - 1  # what arrays hold
    above = "" if least is None else f" of at least {least}"
    allowed = above if most is None else f" from {least} to {most}"
    raise InputError(f"{name} is {_shown(value)}; it must be a whole number{allowed}.")


def integer_fields(owner: Any, least: int, *names: str, most: int | None = None) -> None:
    """Settle fields of a frozen dataclass as whole numbers, or as None where that is the default.

    >>> from dofbook.training import TaskConfig
    >>> TaskConfig(batch_size=0)
    Traceback (most recent call last):
    dofbook.errors.InputError: batch_size is 0; it must be a whole number of at least 1.
    """
    for name in names:
        value, default = getattr(owner, name), type(owner).__dataclass_fields__[name].default
        if value is not None or default is not None:
            object.__setattr__(owner, name, integer(name, value, least, most))


Open = bool | Literal["left", "right"]  # the ends of a range that are left out: both, none, one


def real(
    name: str, value: Any, least: float = -np.inf, most: float = np.inf, *, open: Open = False
) -> float:
    """Require a finite real number in [least, most], without the ends that are `open`.

    >>> real("angle", 1, 0, 3.2)
    1.0
    """
    found = _numbers(value, "iuf", scalar=True)
    if found is not None and _inside(found, least, most, open):
        return float(found)
    raise InputError(f"{name} is {_shown(value)}; it must be {_range(least, most, open)}.")


def positive(name: str, value: Any) -> float:
    """Require a finite number above 0."""
    return real(name, value, 0, open=True)


def probability(name: str, value: Any) -> float:
    """Require a number strictly between 0 and 1."""
    return real(name, value, 0, 1, open=True)


def choice(name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """Require one of a few words, or None where that is one of them.

    >>> choice("kind", "loss", ("loss", "accuracy"))
    'loss'
    """
    allowed = list(allowed)
    if not (value is None or isinstance(value, str)) or value not in allowed:
        raise InputError(f"{name} is {_shown(value)}; allowed: {', '.join(map(repr, allowed))}.")
    return value


def field(name: str, value: Any, hint: Any) -> None:
    """Refuse a value not of a field's type, where that is a number, bool, word or one of a few.

    >>> field("basis", "5", int | None)
    Traceback (most recent call last):
    dofbook.errors.InputError: basis is '5'; it must be a whole number.
    """
    kind = without_none(hint)
    if value is None and kind is not hint:
        return
    if get_origin(kind) is Literal:
        if type(value) not in map(type, get_args(kind)) or value not in get_args(kind):
            choice(name, value, get_args(kind))
    elif kind is int:
        integer(name, value, None)
    elif kind is float and not isinstance(value, float):
        real(name, value)
    elif kind in (bool, str):
        instance(name, value, kind)


def without_none(hint: Any) -> Any:
    """Take X of the type X | None; any other type is left.

    >>> without_none(int | None), without_none(tuple[int, ...])
    (<class 'int'>, tuple[int, ...])
    """
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return kinds[0] if get_origin(hint) in (Union, UnionType) and len(kinds) == 1 else hint


def function(name: str, value: Any) -> Any:
    """Require something that can be called."""
    if not callable(value):
        raise InputError(f"{name} is {_shown(value)}; it must be a function.")
    return value


def instance(name: str, value: Any, kind: type) -> Any:
    """Require an object of a class."""
    if not isinstance(value, kind):
        raise InputError(f"{name} is {_shown(value)}; it must be a {kind.__name__}.")
    return value


def key(value: Any) -> Any:
    """Require one JAX key, typed (`jax.random.key`) or raw (`jax.random.PRNGKey`).

    >>> key(7)
    Traceback (most recent call last):
    dofbook.errors.InputError: key is 7; it must be one key, as jax.random.key(7) makes it.
    """
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    typed, raw = str(dtype).startswith("key<") and shape == (), (str(dtype), shape)
    if not typed and raw != ("uint32", (2,)):
        wanted = "one key, as jax.random.key(7) makes it"
        raise InputError(f"key is {_shown(value)}; it must be {wanted}.")
    return value


def floats(name: str, value: Any, shape: tuple[int, ...]) -> Any:
    """Require an array of floats of a shape, of NumPy or JAX or traced; its numbers are not read.

    >>> floats("w", np.zeros(2), (3,))
    Traceback (most recent call last):
    dofbook.errors.InputError: w is an array of shape (2,); it must be an array of floats (3,).
    """
    if getattr(value, "shape", None) != shape or "float" not in str(getattr(value, "dtype", "")):
        raise InputError(f"{name} is {_shown(value)}; it must be an array of floats {shape}.")
    return value


def path(name: str, value: Any) -> Any:
    """Require the path of a folder, or None."""
    if not isinstance(value, str | os.PathLike | None):
        raise InputError(f"{name} is {_shown(value)}; it must be the path of a folder.")
    return value


def output_file(place: Path) -> Path:
    """Require a place where a file can be put: a folder, a device or a pipe is never replaced.

    >>> output_file(Path("/"))
    Traceback (most recent call last):
    dofbook.errors.InputError: / is a folder; name a file.
    """
    if place.exists() and not place.is_file():
        kind = "folder" if place.is_dir() else "device, a pipe or a socket"
        raise InputError(f"{place} is a {kind}; name a file.")
    return place


def array(name: str, values: ArrayLike, shape: tuple[str | int, ...] | None = None) -> np.ndarray:
    """Require real numbers, NaN and infinities among them, and give float64.

    A word in `shape` stands for any length of at least 1, the same word for the same length.

    >>> array("values", [1, 2], ("dims", "runs"))
    Traceback (most recent call last):
    dofbook.errors.InputError: values has shape (2,); it must be (dims, runs), at least one of each.
    """
    if (numbers := _numbers(values, "biuf")) is None:
        raise InputError(f"{name} must hold real numbers, in lists of equal length.")
    found = numbers.astype(np.float64)
    if shape is None:
        return found
    lengths = dict(zip(shape, found.shape, strict=False))
    words = [each for each in shape if isinstance(each, str)]
    wanted = tuple(lengths.get(each) if each in words else each for each in shape)
    if found.shape != wanted or not all(lengths[word] for word in words):
        listed = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        least = ", at least one of each" if words else ""
        raise InputError(f"{name} has shape {found.shape}; it must be ({listed}){least}.")
    return found


def finite(
    name: str, values: ArrayLike, shape: tuple[str | int, ...] | None = None,
    least: float = -np.inf, most: float = np.inf, *, open: Open = False,
) -> np.ndarray:  # fmt: skip
    """Require finite numbers in [least, most], without the ends that are `open`; as `array` else.

    >>> finite("eps", [0.1, 0.0], ("levels",), 0, open=True)
    Traceback (most recent call last):
    dofbook.errors.InputError: eps holds 0.0; every entry must be a finite number above 0.
    """
    found = array(name, values, shape)
    if not (valid := _inside(found, least, most, open)).all():
        wrong = found[~valid].flat[0]
        raise InputError(f"{name} holds {wrong}; every entry must be {_range(least, most, open)}.")
    return found


def integers(name: str, values: ArrayLike, least: int = 0, most: int | None = None) -> np.ndarray:
    """Require whole numbers, of any shape and also as floats, but not bool, and give int64.

    >>> integers("d", [1.0, 2.0], 0, 8)
    array([1, 2])
    """
    found = finite(name, values, None, least, np.inf if most is None else most)
    whole = (found == np.round(found)).all() and np.abs(found).max(initial=0) < 2**53
    if not whole or np.asarray(values).dtype == bool:
        raise InputError(f"{name} must hold whole numbers.")
    return found.astype(np.int64)


def broadcast(**arrays: np.ndarray) -> tuple[int, ...]:
    """Require arrays whose shapes broadcast, and give the common shape.

    >>> broadcast(eps=np.ones(3), d=np.ones(2))
    Traceback (most recent call last):
    dofbook.errors.InputError: eps and d have shapes (3,) and (2,); they must broadcast.
    """
    shapes = [*map(np.shape, arrays.values())]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        names, shown = " and ".join(arrays), " and ".join(map(str, shapes))
        raise InputError(f"{names} have shapes {shown}; they must broadcast.") from None


def _numbers(values: Any, kinds: str, scalar: bool = False) -> np.ndarray | None:
    try:
        found = np.asarray(values)
        if found.dtype.kind == "O" and not any(item is None for item in found.flat):
            found = np.asarray(found.tolist())  # numbers of several types
    except (TypeError, ValueError):
        return None
    return found if found.dtype.kind in kinds and not (scalar and found.ndim) else None


def _inside(found: np.ndarray, least: float, most: float, open: Open) -> np.ndarray:
    above = found > least if open in (True, "left") else found >= least
    below = found < most if open in (True, "right") else found <= most
    return above & below & np.isfinite(found)


def _shown(value: Any) -> str:
    if hasattr(value, "dtype") and getattr(value, "shape", ()):
        return f"an array of shape {value.shape}"
    return repr(value.item() if isinstance(value, np.ndarray | np.generic) else value)[:80]


def _range(least: float, most: float, open: Open) -> str:
    if least == -np.inf and most == np.inf:
        return "a finite number"
    if most == np.inf:
        return f"a finite number {'above' if open else 'of at least'} {least:g}"
    if least == -np.inf:
        return f"a finite number {'below' if open else 'of at most'} {most:g}"
    if isinstance(open, str):
        before, after = "(]" if open == "left" else "[)"
        return f"in {before}{least:g}, {most:g}{after}"
    return f"a number {'strictly ' if open else ''}between {least:g} and {most:g}"
