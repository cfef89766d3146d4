"""Train networks inside affine subspaces w = offset + A theta, and find where that succeeds.

The names below are all that a first experiment needs; they load what they need when used.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dofbook.datasets import Dataset, load
    from dofbook.experiments.options import octaves
    from dofbook.experiments.sweeping import sweep
    from dofbook.figures import plot_success
    from dofbook.methods import (
        FullSpace,
        LotterySubspace,
        LotteryTicket,
        RandomAffine,
        RandomPruning,
    )
    from dofbook.networks import flatten
    from dofbook.subspaces import AffineSubspace
    from dofbook.success.summaries import success_probability, threshold
    from dofbook.training import Task, classification, next_token, regression, train

__version__ = "0.2.0"
__all__ = [
    "AffineSubspace", "Dataset", "FullSpace", "LotterySubspace", "LotteryTicket", "RandomAffine",
    "RandomPruning", "Task", "__version__", "classification", "flatten", "load", "next_token",
    "octaves", "plot_success", "regression", "success_probability", "sweep", "threshold", "train",
]  # fmt: skip


def lazily(
    package: str, parts: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make a package's ``__getattr__`` and ``__dir__``: names by their module, and its modules.

    Each is loaded when it is first used, so that what only describes needs no JAX.
    """
    places = {name: part for part, names in parts.items() for name in names}

    def find(name: str) -> Any:
        if name in places:
            return getattr(import_module(f"{package}.{places[name]}"), name)
        if not name.startswith("_") and find_spec(f"{package}.{name}"):
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        here = sys.modules[package]
        own = getattr(here, "__all__", vars(here))
        modules = (m.name for m in iter_modules(here.__path__) if not m.name.startswith("_"))
        return sorted({*own, *places, *modules})

    return find, names


_FACE = {
    "training": ("Task", "train", "classification", "regression", "next_token"),
    "datasets": ("Dataset", "load"),
    "networks": ("flatten",),
    "subspaces": ("AffineSubspace",),
    "methods": ("RandomAffine", "LotterySubspace", "LotteryTicket", "RandomPruning", "FullSpace"),
    "experiments": ("sweep", "octaves"),
    "success": ("success_probability", "threshold"),
    "figures": ("plot_success",),
}
__getattr__, __dir__ = lazily(__name__, _FACE)
