"""Say in words where the results of a chapter come from: data, training, time, device, versions."""

from collections.abc import Sequence

import pandas as pd

from dofbook.experiments.store import StoredCell
from dofbook.experiments.tables import summarize

PACKAGES = ("python", "jax", "flax", "optax", "numpy", "dofbook")


def describe_environment(environment: dict) -> str:
    """Write device, commit and versions, as every cell's file holds them, as one line.

    >>> versions = dict.fromkeys(PACKAGES, "1")
    >>> describe_environment({"versions": versions, "devices": [{"kind": "cpu"}], "git": None})[:29]
    'cpu; commit unknown; python 1'
    """
    versions, git = environment["versions"], environment["git"] or {}
    device = ", ".join(sorted({device["kind"] for device in environment["devices"]}))
    changed = " with local changes" if git.get("dirty") else ""
    commit = git.get("commit", "unknown")[:10] + changed
    return f"{device}; commit {commit}; " + ", ".join(f"{n} {versions[n]}" for n in PACKAGES)


def run_record(cells: Sequence[StoredCell]) -> pd.Series:
    """Summarise the run behind a chapter's figures, text by heading."""
    about = summarize(list(cells))
    tasks = {cell.config.task for cell in cells if cell.config.place()["d"] is not None}
    parts = {
        "data": {source["source"] for source in about["datasets"]},
        "network": {f"{task.network}, {task.pooling} pooling" for task in tasks},
        "cells": {str(len(about["cells"]))},
        "seeds": {", ".join(map(str, about["seeds"]))},
        "training": {
            f"{t.epochs} epochs, batches of {t.batch_size}, {t.optimizer.name}, learning rate "
            f"{t.optimizer.learning_rate}, {t.optimizer.bias_correction} bias correction"
            for t in tasks
        },
        "computing time": {f"{about['wall_seconds']:.0f} s"},
        "device and versions": {describe_environment(e) for e in about["environments"]},
    }
    return pd.Series({name: "; ".join(sorted(texts)) for name, texts in parts.items()})
