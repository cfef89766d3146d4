"""Train networks inside affine subspaces w = offset + A theta, and find where that succeeds.

The names below are all that a first experiment needs; they load what they need when used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_FACE = {
    "Task": "training", "train": "training",
    "classification": "training", "regression": "training", "next_token": "training",
    "Dataset": "datasets", "load": "datasets",
    "flatten": "networks",
    "AffineSubspace": "subspaces",
    "RandomAffine": "methods", "LotterySubspace": "methods", "LotteryTicket": "methods",
    "RandomPruning": "methods", "FullSpace": "methods",
    "sweep": "experiments", "octaves": "experiments",
    "success_probability": "success", "threshold": "success",
    "plot_success": "figures",
}  # fmt: skip
_PARTS = {
    "cache", "checks", "cli", "commands", "datasets", "errors", "experiments", "figures",
    "geometry", "keys", "landscape", "methods", "networks", "notebooks", "provenance",
    "references", "subspaces", "success", "training",
}  # fmt: skip

__all__ = [
    "AffineSubspace",
    "Dataset",
    "FullSpace",
    "LotterySubspace",
    "LotteryTicket",
    "RandomAffine",
    "RandomPruning",
    "Task",
    "__version__",
    "classification",
    "flatten",
    "load",
    "next_token",
    "octaves",
    "plot_success",
    "regression",
    "success_probability",
    "sweep",
    "threshold",
    "train",
]


def __getattr__(name: str) -> Any:
    """Load a name of the face, or a part of the package, when it is first used."""
    if name in _FACE:
        return getattr(import_module(f"dofbook.{_FACE[name]}"), name)
    if name in _PARTS:
        return import_module(f"dofbook.{name}")
    raise AttributeError(f"module 'dofbook' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_PARTS})


if TYPE_CHECKING:
    from dofbook.datasets import Dataset, load
    from dofbook.experiments import octaves, sweep
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
    from dofbook.success import success_probability, threshold
    from dofbook.training import Task, classification, next_token, regression, train
