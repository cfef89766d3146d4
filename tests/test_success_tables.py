"""The tidy table: maps, thresholds and baselines, and the mixtures that are refused."""

import math

import numpy as np
import pandas as pd
import pytest

from dofbook.errors import InputError
from dofbook.success import (
    CurveKey,
    baseline_accuracy,
    curves,
    run_values,
    success_map,
    threshold_dimensions,
    threshold_table,
    wilson_interval,
)
from dofbook.success.checks import metric_kind

METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


def run_rows(accuracies, **columns):
    """Make the checkpoint rows of one run from its accuracies; loss is 1 - accuracy."""
    rows = pd.DataFrame({"step": np.arange(len(accuracies)) * 10, "epoch": range(len(accuracies))})
    for split, shift in (("train", 0.0), ("test", -0.05)):
        rows[f"{split}_accuracy"] = np.array(accuracies) + shift
        rows[f"{split}_loss"] = 1 - rows[f"{split}_accuracy"]
        rows[f"best_{split}_accuracy"] = np.fmax.accumulate(rows[f"{split}_accuracy"])
        rows[f"best_{split}_loss"] = np.fmin.accumulate(rows[f"{split}_loss"])
    defaults = {
        "dataset": "digits", "network": "conv2", "method": "affine", "burn_in_steps": 0,
        "d": 1, "D": 1000, "seed": 0, "learning_rate": 0.05, "pooling": "max",
    }  # fmt: skip
    return rows.assign(**{**defaults, **columns})


@pytest.fixture
def table():
    """Two curves over d = 1, 2, 4 with three seeds, and a baseline at two learning rates."""
    rng = np.random.default_rng(0)
    parts = []
    for t in (0, 8):
        for d in (1, 2, 4):
            for seed in (0, 1, 2):
                path = np.sort(rng.integers(10, 20 + 10 * d + 3 * t, 3)) / 100
                path[2] -= 0.05  # the last checkpoint is not the best one
                parts.append(run_rows(path, d=d, seed=seed, burn_in_steps=t))
    for rate, path in ((0.05, [0.1, 0.9]), (0.01, [0.1, 0.94])):
        for seed in (0, 1):
            parts.append(
                run_rows(np.array(path) + [0, seed / 100], method="full", d=1000, seed=seed,
                         learning_rate=rate)
            )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def slow_value(table, metric, which, t, d, seed):
    """Look a run's value up row by row."""
    rows = table[
        (table.method == "affine") & (table.burn_in_steps == t) & (table.d == d)
        & (table.seed == seed)
    ]  # fmt: skip
    if which == "final":
        return rows.loc[rows.step.idxmax(), metric]
    return rows[metric].min() if metric.endswith("loss") else rows[metric].max()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("which", ["best", "final"])
def test_run_values_are_those_of_the_rows_in_any_order(table, metric, which):
    shuffled = table.sample(frac=1, random_state=1)
    for key, rows in curves(shuffled):
        runs = run_values(rows, metric, which)
        assert runs.dims.tolist() == [1, 2, 4]
        assert runs.seeds.tolist() == [0, 1, 2]
        for i, d in enumerate(runs.dims):
            for j, seed in enumerate(runs.seeds):
                expected = slow_value(table, metric, which, key.burn_in_steps, d, seed)
                assert runs.values[i, j] == expected


def test_curves_are_sorted_and_leave_the_baseline_to_its_own(table):
    assert [key for key, _ in curves(table)] == [
        CurveKey("digits", "conv2", "affine", 0),
        CurveKey("digits", "conv2", "affine", 8),
    ]
    assert [key.method for key, _ in curves(table, baseline=True)] == ["full"]


def test_success_map_counts_the_runs(table):
    levels = [0.15, 0.25, 0.4]
    found = success_map(table, "train_accuracy", levels)
    assert len(found) == 2 * 3 * 3
    for row in found.itertuples():
        values = [
            slow_value(table, "train_accuracy", "best", row.burn_in_steps, row.d, seed)
            for seed in (0, 1, 2)
        ]
        successes = sum(value >= row.level for value in values)
        assert (row.successes, row.runs, row.probability) == (successes, 3, successes / 3)
        assert (row.lower, row.upper) == wilson_interval(successes, 3)


def test_loss_and_accuracy_maps_agree_where_loss_is_one_minus_accuracy(table):
    by_accuracy = success_map(table, "test_accuracy", [0.205, 0.305])
    by_loss = success_map(table, "test_loss", [0.795, 0.695])
    assert by_accuracy.probability.tolist() == by_loss.probability.tolist()


def test_threshold_table_reports_censored_thresholds(table):
    found = threshold_table(table, "train_accuracy", [0.05, 0.99], delta=0.1)
    assert found.text.tolist() == ["<= 1", "> 4", "<= 1", "> 4"]
    assert found.censored.tolist() == ["below", "above"] * 2
    assert found.threshold.tolist() == [1, math.inf] * 2
    assert found.runs.tolist() == [3] * 4
    assert found.interval.tolist() == [""] * 4


def test_threshold_table_takes_each_curve_for_itself(table):
    both = threshold_table(table, "train_accuracy", [0.2, 0.3], delta=0.4)
    mine = table[table.burn_in_steps == 8]
    one = threshold_table(mine, "train_accuracy", [0.2, 0.3], delta=0.4)
    pd.testing.assert_frame_equal(both[both.burn_in_steps == 8].reset_index(drop=True), one)
    runs = run_values(mine[mine.method == "affine"], "train_accuracy")
    plain = threshold_dimensions(runs.dims, runs.values, [0.2, 0.3], kind="accuracy", delta=0.4)
    assert one.threshold.tolist() == [d.value for d in plain]
    inverted = threshold_table(table, "train_accuracy", [0.2], delta=0.1, interval="inverted")
    assert inverted.upper.tolist() == [math.inf] * 2  # three runs certify nothing


def test_unfinished_sweeps_leave_runs_absent_not_failed(table):
    gone = (table.d == 4) & (table.seed == 2) & (table.burn_in_steps == 0)
    found = success_map(table[~gone], "train_accuracy", [0.01])
    assert found.runs.tolist() == [3, 3, 2, 3, 3, 3]
    assert set(found.probability) == {1.0}
    ((_, rows), _) = curves(table[~gone])
    assert run_values(rows, "train_loss").complete().seeds.tolist() == [0, 1]
    ragged = pd.concat([run_rows([0.1], d=1, seed=0), run_rows([0.1], d=2, seed=1)])
    with pytest.raises(InputError, match="no seed"):
        run_values(ragged, "train_loss").complete()


def test_diverged_runs_fail():
    rows = pd.concat(
        [
            run_rows([0.2, math.nan, math.nan], seed=0),
            run_rows([math.nan, math.nan], seed=1),
            run_rows([0.1, 0.3], seed=2),
        ]
    )
    best = success_map(rows, "train_loss", [0.8])
    final = success_map(rows, "train_loss", [0.8], value="final")
    assert (best.successes.item(), final.successes.item()) == (2, 1)
    assert (best.runs.item(), final.runs.item()) == (3, 3)


def test_baseline_takes_the_better_learning_rate_on_average(table):
    (row,) = baseline_accuracy(table, "train_accuracy").itertuples()
    assert (row.dataset, row.network, row.learning_rate, row.runs) == ("digits", "conv2", 0.01, 2)
    np.testing.assert_allclose((row.baseline, row.lowest, row.highest), (0.945, 0.94, 0.95))
    (loss,) = baseline_accuracy(table, "test_loss").itertuples()
    np.testing.assert_allclose(loss.baseline, 1 - (0.945 - 0.05))
    assert loss.learning_rate == 0.01
    assert baseline_accuracy(table[table.method != "full"], "train_loss").empty


def test_baseline_passes_over_a_learning_rate_that_diverged(table):
    column = "best_train_accuracy"
    table.loc[(table.method == "full") & (table.learning_rate == 0.01), column] = math.nan
    (row,) = baseline_accuracy(table, "train_accuracy").itertuples()
    assert row.learning_rate == 0.05
    table.loc[table.method == "full", column] = math.nan
    (row,) = baseline_accuracy(table, "train_accuracy").itertuples()
    assert math.isnan(row.baseline)


def test_mixtures_of_configurations_are_refused(table):
    other = table.assign(pooling="average")
    with pytest.raises(InputError, match="pooling varies: 'average', 'max'"):
        success_map(pd.concat([table, other]), "train_loss", [0.5])
    with pytest.raises(InputError, match="repeated"):
        success_map(pd.concat([table, table]), "train_loss", [0.5])
    marked = pd.concat([table.assign(burn_in="adam"), table.assign(burn_in="momentum")])
    with pytest.raises(InputError, match="burn_in vary"):
        success_map(marked, "train_loss", [0.5])
    # Different checkpoints do not hide it: one run is in one cell.
    shifted = table.assign(step=table.step + 5, cell="b")
    with pytest.raises(InputError, match="several runs"):
        success_map(pd.concat([table.assign(cell="a"), shifted]), "train_loss", [0.5])
    with pytest.raises(InputError, match="burn_in_steps varies: 0, 8; select one curve"):
        run_values(table[table.method == "affine"], "train_loss")


@pytest.mark.parametrize(
    ("change", "metric", "message"),
    [
        (lambda x: x, "accuracy", "metric is 'accuracy'"),
        (lambda x: x.drop(columns="seed"), "train_loss", "no column seed"),
        (lambda x: x.drop(columns="best_train_loss"), "train_loss", "no column best_train_loss"),
        (lambda x: x[:0], "train_loss", "no rows"),
        (lambda x: x[x.method == "full"], "train_loss", "no method but"),
        (lambda x: x.assign(best_test_accuracy=97.0), "test_accuracy", "not percent"),
    ],
)
def test_unfit_tables_are_refused(table, change, metric, message):
    for use in (success_map, threshold_table):
        with pytest.raises(InputError, match=message):
            use(change(table), metric, [0.5])


def test_unfit_options_are_refused(table):
    with pytest.raises(InputError, match="value is 'last'"):
        success_map(table, "train_loss", [0.5], value="last")
    with pytest.raises(InputError, match="interval is 'exact'"):
        threshold_table(table, "train_loss", [0.5], interval="exact")


@pytest.mark.parametrize("metric", ["loss", "train", "train_", "valid_loss", None, 3])
def test_the_name_of_a_metric_says_which_way_it_counts(metric):
    assert [metric_kind(f"test_{name}") for name in ("loss", "error", "accuracy", "r2")] == [
        "loss", "loss", "accuracy", "accuracy"
    ]  # fmt: skip
    with pytest.raises(InputError, match="must be train_<name> or test_<name>"):
        metric_kind(metric)
