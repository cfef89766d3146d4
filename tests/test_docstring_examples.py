"""Every function and class that a package or the face exports shows an example, run by doctest."""

import importlib
import inspect
import pkgutil

import dofbook

WITHOUT = {"run_cells", "run_record"}  # each takes a store that is filled first


def exported():
    """Find the functions and classes that packages offer, by name."""
    packages = [f"dofbook.{m.name}" for m in pkgutil.iter_modules(dofbook.__path__) if m.ispkg]
    for package in map(importlib.import_module, packages):
        for name in getattr(package, "__all__", dir(package)):
            thing = getattr(package, name)
            ours = str(getattr(thing, "__module__", "")).startswith(package.__name__)
            if ours and (inspect.isroutine(thing) or inspect.isclass(thing)) and name[0] != "_":
                yield name, thing


def test_every_exported_function_and_class_has_an_example():
    found = {name: thing.__doc__ or "" for name, thing in exported()}
    assert len(found) > 100
    assert set(found) >= {name for name in dofbook.__all__ if callable(getattr(dofbook, name))}
    assert {name for name, words in found.items() if ">>>" not in words} == WITHOUT
