"""What the explorable figure of thresholds is given: success is decided as in `dofbook.success`."""

import json

import numpy as np
import pandas as pd
import pytest

from dofbook import experiments
from dofbook.errors import InputError
from dofbook.figures import phase
from dofbook.figures.interactive import MOST_BYTES
from dofbook.figures.style import example_runs
from dofbook.success import curves, run_values, success_counts

LEVELS = np.arange(100, 10_000, 50)  # in units of 1e-4


def count(rows, level):
    return [sum(value is not None and value >= level for value in row) for row in rows]


@pytest.mark.parametrize("name", ["mnist_conv2", "fashion_mnist_conv2", "digits_conv2_directions"])
def test_whole_levels_are_reached_as_the_success_counts_say(name):
    table = experiments.read_published(name)
    (panel,) = phase.threshold_data(table)["panels"]
    members = list(curves(table))
    assert len(panel["curves"]) == len(members)
    for curve, (_, rows) in zip(panel["curves"], members, strict=True):
        for split in ("train", "test"):
            runs = run_values(rows, f"{split}_accuracy")
            expected, _ = success_counts(runs.values, LEVELS / 1e4, kind="accuracy")
            found = np.array([count(curve[split], level) for level in LEVELS]).T
            np.testing.assert_array_equal(found, expected)
            assert curve["dims"] == runs.dims.tolist()


def test_what_lies_on_a_level_in_single_precision_reaches_it_and_what_lies_below_does_not():
    table = example_runs()
    ninety = float(np.float32(0.9))
    assert ninety < 0.9
    table["best_train_accuracy"] = np.where(table.seed == 0, ninety, 0.8999)
    curve = phase.threshold_data(table)["panels"][0]["curves"][0]
    assert curve["train"] == [[9000, 8999], [9000, 8999]]


def test_a_diverged_run_stays_a_run():
    table = example_runs()
    table.loc[(table.seed == 1) & (table.d == 16), ["best_train_accuracy"]] = np.nan
    curve = phase.threshold_data(table)["panels"][0]["curves"][0]
    assert curve["train"] == [[2500, 2812], [5000, None]]
    assert json.loads(json.dumps(curve, allow_nan=False)) == curve


def test_seeds_that_miss_a_dimension_are_left_out():
    table = example_runs()
    missing = (table.seed == 1) & (table.d == 16) & (table.burn_in_steps == 4)
    first, second = phase.threshold_data(table[~missing])["panels"][0]["curves"]
    assert [len(row) for row in first["train"]] == [2, 2]
    assert [len(row) for row in second["test"]] == [1, 1]
    none = (table.d == 8) ^ (table.seed == 1)
    with pytest.raises(InputError, match="no seed was run at every"):
        phase.threshold_data(table[none])


def test_panels_keep_the_order_of_the_table():
    table = example_runs()
    both = pd.concat([table.assign(dataset=name) for name in ("mnist", "digits")])
    names = [panel["name"] for panel in phase.threshold_data(both)["panels"]]
    assert names == ["MLP on MNIST", "MLP on digits"]


def test_all_that_the_chapter_shows_fits_a_page():
    names = ("mnist_conv2", "fashion_mnist_conv2", "digits_conv2_directions")
    data = phase.threshold_data(pd.concat([experiments.read_published(name) for name in names]))
    assert len(json.dumps(data, separators=(",", ":"))) < MOST_BYTES / 2
