"""Options that describe a sweep, made from the dataclasses of the core.

A new field or method needs nothing here. An option that is not given is None.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter
from docstring_parser import parse

from dofbook import checks
from dofbook.commands.options import READING
from dofbook.errors import InputError
from dofbook.experiments.options import GRID_OPTIONS, PROFILES, make_sweep, method_options
from dofbook.methods import Method, RandomAffine, methods

MOST_RUNS = 10_000
"""Seeds of a cell are listed in its configuration; more are a slip of the keyboard."""


def _known_names() -> dict[str, tuple[str, ...]]:
    """List what docstrings only refer to."""
    from dofbook import datasets, networks
    from dofbook.training import config

    return {
        "DATASET_NAMES": datasets.DATASET_NAMES,
        "NETWORK_NAMES": networks.NETWORK_NAMES,
        "OBJECTIVES": config.OBJECTIVES,
        "PROFILES": tuple(PROFILES),
        "methods.methods()": tuple(methods()),
    }


def texts(described: Any) -> dict[str, str]:
    """Read what docstrings say of arguments: the first sentence of each, names spelled out.

    >>> texts(make_sweep)["profile"]
    'One of reduced, paper; leaving it out starts from the defaults of the configuration classes.'
    """
    found, names = {}, _known_names()
    bases = reversed(described.__mro__[:-1]) if isinstance(described, type) else [described]
    for entry in (entry for base in bases for entry in parse(base.__doc__ or "").params):
        sentence = re.split(r'\.\s+(?=[A-Z"])', " ".join((entry.description or "").split()))[0]
        words = re.sub(r"``(.*?)``", lambda m: ", ".join(names.get(m[1], (m[1],))), sentence)
        for given, without in (("None for", "by default"), ("None", "leaving it out")):
            words = re.sub(rf"\b{given}\b", without, words)
        found[entry.arg_name] = words if words.endswith(".") else words + "."
    return found


def _option(hint: Any, text: str, group: Group, default: Any = None) -> Any:
    """Annotate an option; None where its type is none of the command line's."""
    kind = checks.without_none(hint)
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    if not choices and kind is not bool and kind not in READING:
        return None
    if kind is str:  # completed from the names its text lists
        choices = next((n for n in _known_names().values() if ", ".join(n) in text), ())
    if default not in (None, False, dataclasses.MISSING):
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        text += f" [default: {shown}]"
    unnamed = any(choice not in text for choice in choices)
    parameter = Parameter(help=text, group=group, show_default=False, show_choices=unnamed)
    if kind is bool:  # not bool | None, which completion would let take a value
        return Annotated[bool, parameter]
    read = READING[str if choices else kind]
    return Annotated[(Literal[choices] if choices else kind) | None, read, parameter]


def _of_class(
    kind: Any, group: Group, only: Any = None, owners: str = ""
) -> Iterator[tuple[str, Any]]:
    hints, said = get_type_hints(kind), texts(kind)
    for field in dataclasses.fields(kind):
        if only is None or field.name in only:
            text = owners + said.get(field.name, field.name.replace("_", " ") + ".")
            found = _option(hints[field.name], text, group, field.default)
            if found is not None:
                yield field.name, found


def _of_methods(group: Group, method: type[Method]) -> Iterator[tuple[str, Any]]:
    """Make options of the methods' fields; those of several name them all, as ``method`` has it."""
    for name, kinds in method_options().items():
        best = max(kinds, key=lambda kind: (kind is method, len(texts(kind).get(name, ""))))
        yield from _of_class(best, group, [name], f"{', '.join(kind.name for kind in kinds)}: ")


def sweep_options(method: type[Method] = RandomAffine) -> Any:
    """Make the dataclass of the options that describe a sweep of a method, as the core is now."""
    from dofbook.experiments.config import SweepConfig
    from dofbook.training.config import Convention, TaskConfig

    titles = ("Sweep", "Task", "Grid", "Method")
    sweep, task, grid, own = (Group(title, sort_key=i) for i, title in enumerate(titles))
    said, times = texts(make_sweep), texts(Method)["t"]
    figure = "a figure of the paper, such as 2-mnist or 2 (see dofbook list figures), or "
    figure += "module:function, which lists cells of your own"
    found = {
        "profile": _option(str, said["profile"], sweep),
        "figure": _option(str, figure, sweep),
        "method": _option(str, said["method"], sweep, RandomAffine.name),
        "convention": _option(Convention, said["convention"], sweep),
        "learning_rate": _option(float, said["learning_rate"], task),
        "no_baseline": _option(bool, "leave out full training", grid),
        "burn_in_steps": _option(tuple[int, ...], times, grid, (0,)),
    }
    of_grid = _of_class(SweepConfig, grid, GRID_OPTIONS)
    for name, hint in (*_of_class(TaskConfig, task), *of_grid, *_of_methods(own, method)):
        found.setdefault(name, hint)
    fields = [(name, hint, None) for name, hint in found.items()]
    return dataclasses.make_dataclass(
        "Chosen", fields, frozen=True, kw_only=True, namespace={"__module__": __name__}
    )  # its own __module__, "types", would stop cyclopts from opening it


def describes_sweep(
    command: Callable[..., int], method: type[Method] = RandomAffine
) -> Callable[..., int]:
    """Give a command's argument ``chosen`` the options that describe a sweep of a method."""
    options = sweep_options(method) | None
    command.__annotations__["chosen"] = Annotated[options, Parameter(name="*")]
    return command


def described(chosen: Any) -> Any:
    """Build the ``SweepConfig`` or ``PaperFigure`` that options name; None if there are none."""
    given = {k: v for k, v in vars(chosen).items() if v is not None} if chosen else {}
    if not given:
        return None
    if given.pop("no_baseline", None):
        given["baseline"] = False
    if given.get("runs", 0) > MOST_RUNS:
        raise InputError(f"runs is {given['runs']}; it must be at most {MOST_RUNS}.")
    if "figure" in given:
        from dofbook.experiments.paper import paper_figure

        return paper_figure(**given)
    return make_sweep(**given)
