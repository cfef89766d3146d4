"""The table of spectra against the trajectories themselves."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dofbook.errors import InputError
from dofbook.experiments import tables
from dofbook.experiments.cell import run_cell
from dofbook.experiments.config import CellConfig, TaskConfig
from dofbook.experiments.executors import run_sweep
from dofbook.experiments.spectra import SpectrumCell
from dofbook.experiments.store import Store
from dofbook.keys import Role, run_key
from dofbook.training import Batching, burn_in, make_task

TASK = TaskConfig(network="mlp", train_size=200, test_size=50, epochs=5)


def test_spectra_are_those_of_the_path_of_full_training():
    rows = run_cell(SpectrumCell(task=TASK, seeds=(0, 2), spacing=5))
    assert set(rows.seed) == {0, 2}
    task = make_task(TASK)
    w0 = task.network.init(run_key(2, Role.INITIALIZATION))
    key = run_key(2, Role.BURN_IN_BATCHES)
    points = np.stack([np.asarray(burn_in(task, w0, key, t) - w0, float) for t in (0, 5, 10)])
    wanted = {
        "uncentred": points[1:],
        "increments": np.diff(points, axis=0),
        "centred": points - points.mean(axis=0),
    }
    for basis, matrix in wanted.items():
        found = rows[(rows.seed == 2) & (rows.basis == basis)].sort_values("index")
        exact = np.linalg.svd(matrix, compute_uv=False)[:2]
        np.testing.assert_allclose(found.singular_value, exact, rtol=1e-4)
        assert found["index"].tolist() == [1, 2]


def test_a_sweep_stores_them_and_the_table_has_its_origin(tmp_path):
    cell, store = SpectrumCell(task=TASK), Store(tmp_path / "store")
    assert run_sweep([cell], store, progress=False).computed == 1
    assert run_sweep([cell], store, progress=False).stored == 1
    path = tmp_path / "spectra.parquet"
    tables.write_table(store, path, [cell.name])
    table = pd.read_parquet(path)
    columns = ["cell", "dataset", "network", "seed", "basis", "index", "singular_value"]
    assert list(table) == columns
    pd.testing.assert_frame_equal(table, run_cell(cell))
    origin = json.loads(path.with_suffix(".provenance.json").read_text())
    assert origin["table_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert origin["seeds"] == [0]


def test_only_runs_that_went_together_are_said_to():
    exact = replace(TASK, linearized_at=1, solver="exact")
    cells = [SpectrumCell(task=TASK), CellConfig(task=exact, d=2), CellConfig(task=TASK, d=2)]
    said = [run_cell(c, batching=Batching("batched")).attrs["batching"]["batched"] for c in cells]
    assert said == [False, False, True]
    assert not run_cell(cells[-1]).attrs["batching"]["batched"]


@pytest.mark.parametrize(
    "wrong",
    [{"spacing": 0}, {"steps": 0}, {"extra_first_step": 2}, {"task": "mnist"}, {"seeds": ()}],
)
def test_bad_cells_are_refused(wrong):
    with pytest.raises(InputError):
        SpectrumCell(**{"task": TASK, **wrong})


def test_a_path_too_short_is_refused_before_anything_is_written(tmp_path):
    cell, store = SpectrumCell(task=TaskConfig(network="mlp", train_size=200, epochs=1)), tmp_path
    with pytest.raises(InputError, match="no point at spacing 5"):
        run_sweep([cell], Store(store), progress=False)
    assert not list(tmp_path.iterdir())


def test_a_table_of_runs_and_spectra_together_is_refused(tmp_path):
    store, spectra = Store(tmp_path / "store"), SpectrumCell(task=TASK, spacing=5)
    runs = CellConfig(task=TASK, d=2)
    run_sweep([spectra, runs], store)
    with pytest.raises(InputError, match="runs and spectrum make no table together; choose one"):
        tables.write_table(store, tmp_path / "both.parquet")
    assert not (tmp_path / "both.parquet").exists()
    for cell in (spectra, runs):
        assert set(tables.table(store, [cell.name])["cell"]) == {cell.name}
