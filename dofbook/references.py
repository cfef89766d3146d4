"""A reader's own code: networks, data sets and objectives, named as "module:function" or in hand.

The name is all that a configuration stores; whoever runs it needs the module on the Python path.
"""

import importlib
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dofbook.errors import InputError

_CARRIED = Path(__file__).parent / "carried"
HOME = _CARRIED if _CARRIED.is_dir() else _CARRIED.parents[1]
"""Where `results` and `book` lie: what an installed package carries of them, or the checkout."""
_FORM = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_OURS = str(Path(__file__).parent)


def is_reference(name: object) -> bool:
    """Tell whether a name has the form "module:function", importing nothing.

    >>> is_reference("my_project.nets:wide"), is_reference("conv2")
    (True, False)
    """
    return isinstance(name, str) and _FORM.fullmatch(name) is not None


def is_foreign(name: object) -> bool:
    """Tell whether a name is a reference to what is not at hand without an import.

    >>> is_foreign("json:dumps"), is_foreign("no_such_module:net"), is_foreign("conv2")
    (False, True, False)
    """
    if not is_reference(name):
        return False
    path, _, wanted = str(name).partition(":")
    return not hasattr(sys.modules.get(path), wanted)


def author_of(name: str, kind: type) -> tuple[str, str]:
    """Say where the code of a class is: what its name refers to, or the class's own module.

    >>> author_of("my_project.nets:Wide", object), author_of("affine", complex)
    (('my_project.nets', 'Wide'), ('builtins', 'complex'))
    """
    if is_reference(name):
        module, _, name = name.partition(":")
        return module, name
    return kind.__module__, kind.__qualname__.partition(".")[0]


def subclasses(kind: type) -> list[type]:
    """List the subclasses of a class, and theirs.

    >>> bool in subclasses(int)
    True
    """
    found = kind.__subclasses__()
    for one in found:  # the list grows meanwhile
        found += one.__subclasses__()
    return found


def check_own_name(kind: type, attribute: str, base: type) -> None:
    """Refuse a subclass with the name of another one, whose cells it would share, or with no word.

    A class that is defined again, as in a notebook or when its module is reloaded, is the same.
    """
    name, said = getattr(kind, attribute), None
    if not isinstance(name, str):
        said = "it must be a word"
    for other in subclasses(base) if name and not said else ():
        here, there = ((k.__module__, k.__qualname__) for k in (kind, other))
        again = here == there and "<locals>" not in here[1]  # a function makes different ones
        again |= here[1] == there[1] and "__main__" in (here[0], there[0])  # a script, imported
        if other is not kind and not again and getattr(other, attribute) == name:
            said = f"it needs a `{attribute}` of its own, such as {':'.join(here)!r}"
    if said:
        setattr(kind, attribute, "")  # the class may live on in a traceback
        raise InputError(f"{kind.__name__} has the {attribute} {name!r}; {said}.")


def check_name(what: str, name: object, ours: Iterable[str]) -> None:
    """Require one of our names, or a reference, which is imported only where it is used.

    >>> check_name("network", "conv9", ("conv2", "mlp"))
    Traceback (most recent call last):
    dofbook.errors.InputError: network is 'conv9'; allowed: conv2, mlp, or module:function.
    """
    if not (is_reference(name) or (isinstance(name, str) and name in tuple(ours))):
        raise InputError(f"{what} is {name!r:.80}; allowed: {', '.join(ours)}, or module:function.")


def resolve(reference: str) -> Callable:
    """Import the function that a reference names; InputError if that fails or there is none.

    >>> resolve("math:prod")([2, 3])
    6
    """
    if not is_reference(reference):
        raise InputError(f"{reference!r:.80} is no reference; it must be module:function.")
    path, _, name = reference.partition(":")
    try:
        with own_code(path, passing=(ModuleNotFoundError,)):
            module = importlib.import_module(path)
        found = getattr(module, name)
    except (ModuleNotFoundError, AttributeError) as problem:
        wanted = "it must be module:function, with the module on the Python path"
        raise InputError(f"{reference} cannot be imported ({problem}); {wanted}.") from None
    if not callable(found):
        raise InputError(f"{reference} is {found!r}; it must be a function.")
    return found


def found_now(*names: str) -> tuple[Callable, ...]:
    """Resolve those of some names that are references: what a cache by name must know, too.

    >>> found_now("conv2", "math:prod")
    (<built-in function prod>,)
    """
    return tuple(resolve(name) for name in names if is_reference(name))


def call(reference: str, *arguments: Any) -> Any:
    """Call the function that a reference names; InputError with its last line if it raises.

    >>> call("math:log10", 0)
    Traceback (most recent call last):
    dofbook.errors.InputError: math:log10 raised ValueError: math domain error.
    """
    function = resolve(reference)
    with own_code(reference):
        return function(*arguments)


@contextmanager
def own_code(
    what: str,
    hints: tuple[tuple[str, str], ...] = (),
    passing: tuple[type[BaseException], ...] = (),
) -> Iterator[None]:
    """Turn what a reader's code raises, or its exit, into a sentence about ``what``, with its line.

    Should it change the folder of the process, that is undone: stores and files are found from it.

    ``hints`` are pairs of a pattern, searched in the kind and words of the error, and a way out.
    Errors in ``passing``, InputError and KeyboardInterrupt are left as they are.

    >>> with own_code("my_net", hints=(("ZeroDivision", "use larger ones"),)):
    ...     1 / 0
    Traceback (most recent call last):
    dofbook.errors.InputError: my_net raised ZeroDivisionError: division by zero; use larger ones.
    """
    here = None
    with suppress(OSError):  # the folder may be gone
        here = os.getcwd()
    try:
        yield
    except (InputError, KeyboardInterrupt, GeneratorExit, *passing):
        raise
    except BaseException as error:
        raise InputError(_complaint(what, error, hints)) from error
    finally:
        if here:
            os.chdir(here)


def sentence_on(error: Exception) -> str | None:
    """Say in a sentence what a reader's code raised, or what keeps JAX from starting; else None.

    >>> sentence_on(ValueError("raised by nobody"))
    """
    frames = traceback.extract_tb(error.__traceback__)
    if any(f.name == "<module>" and f.filename.endswith("jax/__init__.py") for f in frames):
        return f"JAX cannot be imported: {_words(error)}."
    for frame in reversed(frames):
        if frame.filename.startswith(_OURS):
            return None
        if not is_installed(frame.filename):
            return _complaint("a function of yours", error)
    return None


def _complaint(what: str, error: BaseException, hints: tuple[tuple[str, str], ...] = ()) -> str:
    said = f"called sys.exit({_words(error)})"
    if not isinstance(error, SystemExit):
        said = f"raised {': '.join(filter(None, (type(error).__name__, _words(error))))}"
    ways = [f"; {way}" for pattern, way in hints if re.search(pattern, said)]
    return f"{what} {said}{_place(error)}{''.join(ways[:1])}."


def _words(error: BaseException) -> str:
    """Give the first line of what an error says; its own code may fail to say it."""
    with suppress(Exception):
        return next(iter(str(error).strip().splitlines()), "").strip().rstrip(".")[:300]
    return ""


def is_installed(file: str) -> bool:
    """Tell whether code is Python's or of an installed package; compiled code has no path.

    >>> is_installed(re.__file__), is_installed("<frozen os>"), is_installed("/my-packages/net.py")
    (True, True, False)
    """
    place, python = Path(file), sysconfig.get_paths()["stdlib"]
    packages = {"site-packages", "dist-packages"} & set(place.parts)
    return bool(packages) or not place.is_absolute() or place.is_relative_to(python)


def _place(error: BaseException) -> str:
    """Find the last line that is neither ours, nor Python's, nor of an installed package."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" (at {error.filename}, line {error.lineno})"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not (frame.filename.startswith(_OURS) or is_installed(frame.filename)):
            return f" (in {frame.name} at {frame.filename}, line {frame.lineno})"
    return ""
