"""Sweeps: cells described, run, stored, tabled and verified.

- `config`: cells and their hash; `options`: from options by name; `paper`: the paper's figures
- `cell`: runs of a method at one d; `linearized`, `spectra`, `cuts`: the other kinds
- `sweeping`: from a notebook; `executors`, `dask_executor`: where cells run; `adaptive`: bisection
- `store`, `tables`, `publishing`, `published`: one file a cell, one table a sweep
- `estimates`, `events`, `records`, `verification`: what it takes, what happens, where from, again
"""

from importlib import import_module
from typing import Any

_NAMES = {
    "make_sweep": "options", "octaves": "options",
    "sweep": "sweeping", "run_cells": "sweeping",
    "read_published": "published", "run_record": "records",
    "Store": "store", "CellConfig": "config", "SweepConfig": "config",
    "lottery_chapter": "paper", "linearization_chapter": "paper", "PAPER_FIGURES": "paper",
}  # fmt: skip
_MODULES = ("adaptive", "cuts", "estimates", "linearized", "spectra", "tables", "verification")


def __getattr__(name: str) -> Any:
    """Load a name, or a module, when it is first used: descriptions are read without JAX."""
    if name in _NAMES:
        return getattr(import_module(f"dofbook.experiments.{_NAMES[name]}"), name)
    if name in _MODULES:
        return import_module(f"dofbook.experiments.{name}")
    raise AttributeError(f"module 'dofbook.experiments' has no attribute {name!r}")
