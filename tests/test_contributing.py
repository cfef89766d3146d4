"""The examples in CONTRIBUTING.md run as they stand, each with the imports its file would have."""

import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

import dofbook as dof
from dofbook.cli import main
from dofbook.notebooks import run_chapter

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
CODE = re.compile(r"^(`{3,})\w+\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
IMPORTS = """
from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import sklearn.datasets

from dofbook.datasets import Dataset
from dofbook.experiments.config import Cell
from dofbook.keys import Role, run_key
from dofbook.methods import Method
from dofbook.subspaces import AffineSubspace, Dense
from dofbook.training import Objective, TaskConfig, classification

"""


def example(heading: str) -> str:
    """Give the one example below a heading."""
    section = TEXT.split(f"## A new {heading}\n")[1].split("\n## ")[0]
    ((_, code),) = CODE.findall(section)
    return code


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write an example as a module where Python finds it: a function of heading and name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(heading, name):
        (tmp_path / f"{name}.py").write_text(IMPORTS + example(heading))
        return __import__(name)

    return write


def test_data_set_network_objective_and_method_train_together(written):
    data = written("data set", "contributed_moons").load_moons()
    network = written("network", "contributed_linear").Linear(2)
    objective = written("objective", "contributed_hinge").hinge_loss
    method = written("method", "contributed_directions").GradientDirections(batch=32)
    flat = dof.flatten(network, data.x_train[:1])
    assert (len(data.y_train), len(data.y_test), flat.D) == (800, 200, 6)
    task = dof.Task(flat, data, objective=objective, epochs=2)
    space = method.subspace(task, seed=0, d=2)
    rows = space.directions.rows
    np.testing.assert_allclose(rows @ rows.T, np.eye(2), atol=1e-5)
    history = dof.train(task, space, seed=0).history
    assert history.train_loss.iloc[-1] < history.train_loss.iloc[0]
    # of two classes the loss is what is known as hinge: max(0, 1 + the other's output - its own)
    outputs, targets = np.array([[0.0, 3.0], [0.5, 0.0]]), np.array([1, 1])
    np.testing.assert_allclose(objective.loss(outputs, targets), [0, 1.5])


def test_an_experiment_is_swept_and_tabled_by_its_command(written, tmp_path, monkeypatch):
    written("experiment", "counts")
    monkeypatch.chdir(tmp_path)
    (command,) = re.findall(r"^    dofbook (sweep .*)$", TEXT, re.MULTILINE)
    assert main(command.split()) == 0
    table = pd.read_parquet("counts.parquet")
    assert table.groupby("seed").step.count().to_dict() == {0: 100, 1: 100}
    assert table.w0_norm.min() > 0


def test_a_chapter_runs(tmp_path):
    chapter = tmp_path / "x.md"
    chapter.write_text(example("chapter"))
    assert len(chapter.read_text().splitlines()) < 30
    run_chapter(chapter, tmp_path / "x.ipynb", {"runs": "1"}, progress=False)
    last = nbformat.read(tmp_path / "x.ipynb", as_version=4).cells[-1]
    assert "image/svg+xml" in last.outputs[-1].data or "image/png" in last.outputs[-1].data
