"""The face of the package: what a reader gets from `import dofbook as dof` and from README."""

import ast
import dataclasses
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

import dofbook as dof
from dofbook.errors import InputError

ROOT = Path(__file__).parents[1]
NAMES = {
    "Task", "Dataset", "load", "flatten", "train", "sweep", "octaves", "success_probability",
    "threshold", "plot_success", "AffineSubspace", "RandomAffine", "LotterySubspace",
    "LotteryTicket", "RandomPruning", "FullSpace", "classification", "regression",
}  # fmt: skip


def fresh(code: str) -> str:
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def test_every_name_of_the_face_is_there():
    assert set(dof.__all__) >= NAMES
    for name in dof.__all__:
        assert getattr(dof, name) is not None, name
    assert set(dof.__all__) <= set(dir(dof)) >= {"experiments", "figures"}
    assert not {"Any", "Callable", "find_spec", "lazily"} & set(dir(dof))
    with pytest.raises(AttributeError, match="no attribute 'random_affine'"):
        getattr(dof, "random_affine")  # noqa: B009


def test_importing_the_package_loads_nothing_heavy():
    heavy = ("jax", "flax", "optax", "pandas", "matplotlib", "scipy", "sklearn")
    code = f"import dofbook, sys; print([m for m in {heavy} if m in sys.modules])"
    assert fresh(code) == "[]"


def test_parts_are_found_by_attribute():
    code = "import dofbook; print(dofbook.networks.layers.conv_general_dilated.__name__)"
    assert fresh(code) == "conv_general_dilated"


def test_a_name_is_defined_once_in_the_package():
    """At the top of a module; but for what Python and its logging call alike everywhere."""
    definitions = Counter()
    for path in (ROOT / "dofbook").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                definitions[node.name] += 1
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                definitions.update(t.id for t in targets if isinstance(t, ast.Name))
    assert definitions.total() > 500
    assert {name for name, times in definitions.items() if times > 1} <= {"__all__", "log"}


def snippet(page: str) -> str:
    """Take the first experiment of a page, word for word."""
    text = (ROOT / page).read_text()
    return re.search(r"```python\n(import dofbook as dof.*?)```", text, re.DOTALL)[1]


def test_the_first_experiment_of_the_readme_runs_word_for_word(monkeypatch):
    """All its lines, with fewer epochs and dimensions, since a test is no place for minutes."""
    code = snippet("README.md")
    assert "dof.sweep(task, dof.RandomAffine(), dims=dof.octaves(512), seeds=5)" in code
    assert 'dof.threshold(runs, "train_accuracy", 0.9)' in code
    monkeypatch.setattr("dofbook.training.config.DIGITS_EPOCHS", 2)
    monkeypatch.setattr("dofbook.experiments.options.octaves", lambda largest: (8, largest))
    space = {}
    exec(compile(code, "README.md", "exec"), space)  # the page's own words
    runs = space["runs"]
    assert runs.groupby("d").seed.nunique().to_dict() == {8: 5, 512: 5}
    assert str(dof.threshold(runs, "train_accuracy", 0.99)).startswith("> 512")
    assert dof.threshold(runs, "train_accuracy", 0.2).value in (8, 512)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        *[({"dims": dims}, "dims") for dims in (None, "4", ["4"], [None], [np.nan], [np.inf])],
        *[({"dims": dims}, "dims") for dims in ([[2]], True, [1j], 2.5, [])],
        *[({"seeds": seeds}, "seeds") for seeds in (None, "2", ["a"], 2.5, [0.5], [np.nan])],
        *[({"seeds": seeds}, "seeds") for seeds in ([2**32], [-1], [[0]], [True], 0, [1, 1])],
        *[({"method": one}, "method is") for one in (None, dof.RandomAffine, "affine", 3, [])],
        ({"method": [dof.RandomAffine()] * 2}, "make one curve, 'random affine'"),
        ({"method": [dof.RandomAffine(3), dof.RandomAffine(3, nested=True)]}, "sweep them apart"),
        ({"method": [dof.LotteryTicket(pruning_epochs=n) for n in (1, 2)]}, "'lottery ticket'"),
        ({"dims": b"2"}, "dims"),
        *[({"store": store}, "it must be the name of a folder") for store in (3, "")],
        *[({"batching": one}, "batching is ") for one in ("batched", {}, np.zeros(2))],
        ({"task": "mlp"}, "task is 'mlp'"),
    ],
)
def test_what_a_sweep_cannot_use_is_refused_before_it_trains(wrong, said):
    given = {"task": dof.Task("mlp", "digits"), "method": dof.RandomAffine(), "dims": [2]}
    with pytest.raises(InputError, match=said):
        dof.sweep(**{**given, "seeds": 1, "progress": False, **wrong})


def test_a_sweep_in_a_notebook_shows_its_progress(tmp_path):
    code = (
        "import dofbook as dof\ntask = dof.Task('mlp', 'digits', epochs=1)\n"
        "for store in (None, 'store'):\n"
        "    dof.sweep(task, dof.RandomAffine(), dims=[2], seeds=1, store=store)"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = "".join(output.text for output in notebook.cells[0].outputs)
    assert shown.count("0%|") >= 2 and shown.count("100%|") >= 2 and "affine, t = 0, d = 2" in shown


def test_conventions_and_written_tasks_are_checked():
    task = dof.Task("conv2", "digits", epochs=1)
    with pytest.raises(InputError, match="make the task with it"):
        dataclasses.replace(task, convention="released_code")
    with pytest.raises(InputError, match="config is 'x'"):
        dof.Task("mlp", "digits", config="x")
    with pytest.raises(InputError, match="optimizer is 0"):
        dof.Task("mlp", "digits", optimizer=0)


def test_a_level_in_percent_is_refused_wherever_it_is_asked_for():
    table = {"dataset": "x", "network": "y", "method": "affine", "burn_in_steps": 0, "step": 1}
    runs = pd.DataFrame({**table, "d": [4, 8], "seed": 0, "best_train_accuracy": [0.2, 0.9]})
    for ask in (dof.threshold, dof.success_probability, dof.plot_success):
        with pytest.raises(InputError, match="level is 90; it must be a number between 0 and 1"):
            ask(runs, "train_accuracy", level=90)


def test_data_in_the_home_of_nobody_are_refused():
    with pytest.raises(InputError, match="data_dir is ~nouser/x; there is no such home folder"):
        dof.load("mnist", "~nouser/x")


def test_a_subspace_of_another_network_is_refused():
    task, other = dof.Task("mlp", "digits"), dof.subspaces.Identity(3)
    with pytest.raises(InputError, match="offset is an array of shape .3,.; it must be .*2410"):
        dof.train(task, dof.AffineSubspace(np.zeros(3, np.float32), other))
