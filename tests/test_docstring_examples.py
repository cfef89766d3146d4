"""Every function and class that packages or the reference show has an example, run by doctest."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import dofbook

PAGES = sorted((Path(__file__).parents[1] / "book" / "api").glob("*.md"))
WITHOUT = {"run_adaptive", "run_cells", "run_record"}  # each takes a store that is filled first


def public():
    """Find the functions and classes that packages offer and pages list, by module and name."""
    packages = [f"dofbook.{m.name}" for m in pkgutil.iter_modules(dofbook.__path__) if m.ispkg]
    listed = re.findall(r"automodule:: (\S+)", "".join(page.read_text() for page in PAGES))
    assert len(listed) > 50
    for module in map(importlib.import_module, packages + listed):
        for name in getattr(module, "__all__", dir(module)):
            thing = getattr(module, name)
            ours = str(getattr(thing, "__module__", "")).startswith(module.__name__)
            error = inspect.isclass(thing) and issubclass(thing, Exception)
            if ours and callable(thing) and not error and name[0] != "_":
                yield (thing.__module__, name), thing


def test_every_public_function_and_class_has_an_example():
    found = {place: thing.__doc__ or "" for place, thing in public()}
    names = {name for _, name in found}
    assert names >= {name for name in dofbook.__all__ if callable(getattr(dofbook, name))}
    assert {name for (_, name), words in found.items() if ">>>" not in words} == WITHOUT
