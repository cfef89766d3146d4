"""Sweeps: cells described, run, stored, tabled and verified.

- `config`: cells and their hash; `options`: from options by name; `paper`: the paper's figures
- `cell`: runs of a method at one d; `linearized`, `spectra`, `cuts`: the other kinds
- `sweeping`: from a notebook; `executors`, `dask_executor`: where cells run; `adaptive`: bisection
- `store`, `tables`, `publishing`, `published`: one file a cell, one table a sweep
- `estimates`, `events`, `records`, `verification`: what it takes, what happens, where from, again
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dofbook.experiments.options import make_sweep, octaves
    from dofbook.experiments.sweeping import run_cells, sweep

__all__ = ["make_sweep", "octaves", "run_cells", "sweep"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    modules = {
        "sweep": "sweeping", "run_cells": "sweeping", "octaves": "options", "make_sweep": "options",
    }  # fmt: skip
    if name not in modules:
        raise AttributeError(f"module 'dofbook.experiments' has no attribute {name!r}")
    return getattr(import_module(f"dofbook.experiments.{modules[name]}"), name)
