"""What runs took and are to take, by cells of a few seeds."""

from ledger.costs import runs_of, seconds_per_step, steps_of

from dofbook.experiments.config import CellConfig
from dofbook.experiments.spectra import SpectrumCell
from dofbook.training.config import TaskConfig

MNIST = TaskConfig("mnist", "conv2", epochs=3)


def cells(*seeds, **task):
    return [CellConfig(task=TaskConfig("mnist", "conv2", epochs=3, **task), d=8, seeds=seeds)]


def record(cells, seconds, *kinds):
    devices = [{"kind": kind} for kind in kinds]
    return {"cells": cells, "wall_seconds": seconds, "environments": [{"devices": devices}]}


def test_a_run_is_the_same_in_whatever_cell():
    assert runs_of(cells(0, 1) + cells(1, 2)) == runs_of(cells(0, 1, 2))
    assert len(runs_of(cells(0) + cells(0, train_size=100))) == 2


def test_steps_are_batches_begun_of_all_epochs_and_seeds():
    assert steps_of(cells(0, 1)) == 2 * 3 * 469  # 60,000 images in batches of 128
    assert steps_of(cells(0, train_size=129)) == 3 * 2
    other = [SpectrumCell(task=MNIST), CellConfig(task=TaskConfig("digits"), d=8)]
    assert steps_of(other) == 0


def test_time_per_step_is_of_all_tables_of_a_network_and_device_together():
    one, three = cells(0), cells(0, 1, 2)
    mixed = [CellConfig(task=TaskConfig("mnist", "conv3"), d=8), *one]
    found = seconds_per_step([
        record(one, 1407, "cpu"), record(three, 3 * 1407 * 5, "cpu"), record(one, 7, "H100"),
        record(mixed, 1e6, "cpu"), record(one, 1e6, "H100", "cpu"), record([], 1e6, "cpu"),
    ])  # fmt: skip
    assert found == {("conv2", "CPU"): 4, ("conv2", "H100"): 7 / 1407}
