"""Thresholds relative to full training, nested subspaces, and the figures drawn of them."""

import numpy as np
import pandas as pd
import pytest

from dofbook.errors import InputError
from dofbook.figures import figure_6, figure_10
from dofbook.success import compression_table, nested_best

D = 1024
NESTED = ("lottery_subspace",)
ACCURACY = {
    # Seeds 0 and 1; the second falls back at d = 4.
    ("lottery_subspace", 0): {1: (0.5, 0.4), 2: (0.9, 0.93), 4: (0.97, 0.5)},
    ("affine", 0): {16: (0.5, 0.6), 64: (0.91, 0.85), 256: (0.97, 0.96)},
}
FULL = (1.0, 0.96)  # mean 0.98


def _rows(method, t, d, values):
    return [
        {
            "dataset": "mnist", "network": "conv2", "method": method, "burn_in_steps": t, "d": d,
            "D": D, "seed": seed, "step": step, "epoch": step, "test_accuracy": accuracy,
            "best_test_accuracy": accuracy, "best_test_loss": 1 - accuracy,
        }
        for seed, last in enumerate(values)
        for step, accuracy in ((0, 0.1), (1, last))
    ]  # fmt: skip


@pytest.fixture
def table():
    rows = _rows("full", 0, D, FULL)
    for (method, t), dims in ACCURACY.items():
        for d, values in dims.items():
            rows += _rows(method, t, d, values)
    return pd.DataFrame(rows)


def test_nested_subspaces_keep_what_a_smaller_one_reached(table):
    carried = nested_best(table, NESTED)
    lottery = carried[carried.method == "lottery_subspace"]
    best = lottery.groupby(["d", "seed"]).best_test_accuracy.max().unstack()
    np.testing.assert_array_equal(best, [[0.5, 0.4], [0.9, 0.93], [0.97, 0.93]])
    loss = lottery.groupby(["d", "seed"]).best_test_loss.min().unstack()
    np.testing.assert_allclose(loss, 1 - best)
    # Only that method's best values change, and never for the worse.
    rest = carried.method != "lottery_subspace"
    pd.testing.assert_frame_equal(carried[rest], table[rest])
    pd.testing.assert_frame_equal(
        carried.drop(columns=["best_test_accuracy", "best_test_loss"]),
        table.drop(columns=["best_test_accuracy", "best_test_loss"]),
    )
    assert (carried.best_test_accuracy >= table.best_test_accuracy).all()


def test_tables_put_together_are_carried_as_one_table(table):
    affine = table.method == "affine"
    both = pd.concat([table[~affine], table[affine].reset_index(drop=True)])
    assert not both.index.is_unique
    expected = nested_best(both.reset_index(drop=True), NESTED)
    pd.testing.assert_frame_equal(nested_best(both, NESTED), expected)


def test_carrying_over_twice_changes_nothing(table):
    once = nested_best(table, NESTED)
    pd.testing.assert_frame_equal(nested_best(once, NESTED), once)


def test_compression_is_D_over_the_threshold(table):
    found = compression_table(table, fractions=[0.9, 0.98], delta=0.1, interval=None)
    found = found.set_index(["method", "fraction"])
    # 0.9 of 0.98 is 0.882, 0.98 of it 0.9604; both seeds must succeed.
    assert found.loc[("lottery_subspace", 0.9), "threshold"] == 2
    assert found.loc[("lottery_subspace", 0.9), "compression"] == D / 2
    assert found.loc[("affine", 0.9), "threshold"] == 256
    assert found.loc[("affine", 0.98), "threshold"] == np.inf
    assert found.loc[("affine", 0.98), "compression"] == 0


def test_intervals_of_the_compression_turn_round(table):
    found = compression_table(table, fractions=[0.9], interval="inverted")
    lower, upper = found.compression_lower, found.compression_upper
    assert ((lower <= found.compression) & (found.compression <= upper)).all()
    np.testing.assert_array_equal(lower, D / found.upper)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metric": "test_loss"}, "allowed: train_accuracy, test_accuracy"),
        ({"fractions": [1.5]}, r"must be in \(0, 1\]"),
        ({"fractions": [0.0]}, r"must be in \(0, 1\]"),
    ],
)
def test_what_is_no_fraction_of_an_accuracy_is_refused(table, change, said):
    with pytest.raises(InputError, match=said):
        compression_table(table, **change)


def test_without_the_number_of_parameters_there_is_no_ratio(table):
    with pytest.raises(InputError, match="no column D"):
        compression_table(table.drop(columns="D"))


def test_without_a_baseline_there_is_nothing_to_compare_with(table):
    with pytest.raises(InputError, match="no full-space baseline"):
        compression_table(table[table.method != "full"])


def test_figure_6_draws_the_means_at_their_compression(table):
    figure = figure_6(nested_best(table, NESTED))
    ax = figure.axes[0]
    curves = {line.get_color(): line for line in ax.lines if line.get_gid() == "curve"}
    assert len(curves) == 2
    drawn = sorted((tuple(line.get_xdata()), tuple(line.get_ydata())) for line in curves.values())
    (affine_x, affine_y), (lottery_x, lottery_y) = drawn
    assert affine_x == (64, 16, 4)
    np.testing.assert_allclose(affine_y, [55, 88, 96.5])
    assert lottery_x == (1024, 512, 256)
    np.testing.assert_allclose(lottery_y, [45, 91.5, 95])
    baseline = next(line for line in ax.lines if line.get_gid() == "baseline")
    assert baseline.get_ydata()[0] == pytest.approx(98)


def test_figure_10_draws_one_line_per_seed_and_basis():
    index = np.arange(1, 6)
    parts = [
        pd.DataFrame({"dataset": "mnist", "network": "conv2", "basis": basis, "seed": seed,
                      "index": index, "singular_value": (seed + 2.0) / index})
        for basis in ("centred", "increments") for seed in (0, 1)
    ]  # fmt: skip
    figure = figure_10(pd.concat(parts))
    lines = figure.axes[0].lines
    assert len(lines) == 4
    for line in lines:
        np.testing.assert_allclose(line.get_ydata(), 1 / index)
    with pytest.raises(InputError, match="no column singular_value"):
        figure_10(parts[0].drop(columns="singular_value"))
