"""The examples in CONTRIBUTING.md run as they are printed, and are short."""

import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import dofbook as dof
from dofbook.cli import main
from dofbook.notebooks import run_chapter

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
CODE = re.compile(r"^(`{3,})\w+\n(.*?)^\1$", re.MULTILINE | re.DOTALL)


def example(heading: str) -> str:
    """Give the one example below a heading."""
    section = TEXT.split(f"## A new {heading}\n")[1].split("\n## ")[0]
    ((_, code),) = CODE.findall(section)
    assert len(code.splitlines()) < 30
    return code


def command(option: str) -> list[str]:
    """Give the one printed command that begins with an option."""
    (found,) = re.findall(rf"^    dofbook (sweep {option} .*)$", TEXT, re.MULTILINE)
    return found.split()


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write an example as a module where Python finds it: a function of heading and name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(heading, name):
        (tmp_path / f"{name}.py").write_text(example(heading))
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


def test_a_method_outside_the_package_is_swept_by_its_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (name,) = re.findall(r'`(name: ClassVar\[str\] = "mine:.*")`', TEXT)
    code = example("method").replace('name: ClassVar[str] = "gradient_directions"', name)
    (tmp_path / "mine.py").write_text(code)
    small = ["--network", "mlp", "--epochs", "1", "--dims", "4,8", "--runs", "1", "--no-baseline"]
    assert main([*command("--method"), *small]) == 0
    figure = dof.plot_success(pd.read_parquet("mine.parquet"))
    assert "gradient directions (batch 64)" in {text.get_text() for text in figure.findobj(Text)}
    assert main([*command("--method")[:3], "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "mine:GradientDirections: Examples of each gradient. [default: 128]" in shown


def test_an_experiment_is_swept_and_tabled_by_its_command(written, tmp_path, monkeypatch):
    written("experiment", "counts")
    monkeypatch.chdir(tmp_path)
    assert main(command("--figure")) == 0
    table = pd.read_parquet("counts.parquet")
    assert table.groupby("seed").step.count().to_dict() == {0: 100, 1: 100}
    assert table.w0_norm.min() > 0


def test_a_chapter_runs(tmp_path):
    chapter = tmp_path / "x.md"
    chapter.write_text(example("chapter"))
    run_chapter(chapter, tmp_path / "x.ipynb", {"runs": "1"}, progress=False)
    last = nbformat.read(tmp_path / "x.ipynb", as_version=4).cells[-1]
    assert "image/svg+xml" in last.outputs[-1].data or "image/png" in last.outputs[-1].data
