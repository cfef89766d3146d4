"""The table of spectra against the trajectories themselves."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from dofbook.cli import main
from dofbook.experiments.cells import task_data, task_network
from dofbook.experiments.config import TaskConfig
from dofbook.experiments.spectra import spectra
from dofbook.keys import Role, run_key
from dofbook.methods.trajectories import LotteryConfig
from dofbook.training import burn_in

TASK = TaskConfig(network="mlp", train_size=200, test_size=50, epochs=5)


def test_spectra_are_those_of_the_path_of_full_training():
    rows = spectra(TASK, (0, 2), LotteryConfig(spacing=5), progress=False)
    assert set(rows.seed) == {0, 2}
    dataset, data = task_data(TASK)
    network = task_network(TASK, dataset)
    w0 = network.init(run_key(2, Role.INITIALIZATION))
    key = run_key(2, Role.BURN_IN_BATCHES)
    points = np.stack(
        [np.asarray(burn_in(network, data, w0, key, t) - w0, float) for t in (0, 5, 10)]
    )
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


def test_the_command_writes_the_table_and_its_origin(tmp_path):
    path = tmp_path / "spectra.parquet"
    options = ["--network", "mlp", "--train-size", "200", "--test-size", "50", "--epochs", "5"]
    assert main(["spectra", *options, "--runs", "1", "-o", str(path)]) == 0
    table = pd.read_parquet(path)
    assert list(table) == ["dataset", "network", "seed", "basis", "index", "singular_value"]
    origin = json.loads(path.with_suffix(".provenance.json").read_text())
    assert origin["table_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert origin["seeds"] == [0]


@pytest.mark.parametrize(
    "wrong", [["--figure", "2"], ["--network", "none"], ["--runs", "0"], ["--epochs", "1"]]
)
def test_bad_input_writes_nothing(tmp_path, capsys, wrong):
    path = tmp_path / "spectra.parquet"
    sizes = ["--train-size", "200", "--test-size", "50"]
    assert main(["spectra", *sizes, *wrong, "-o", str(path)]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
