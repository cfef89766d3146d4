"""Means and paired differences of the best values of runs, against plain loops over rows."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dofbook.errors import InputError
from dofbook.success import (
    best_values,
    equal_dimensions,
    mean_best,
    paired_gain,
    steepest_rise,
    transition_widths,
)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    rows = [
        ("digits", "mlp", method, t, d, seed, step, *rng.uniform(size=2))
        for method, t in (("affine", 0), ("affine", 4), ("lottery_subspace", 0), ("full", 0))
        for d in (4, 8, 16)
        for seed in range(5)
        for step in (0, 6, 12)
    ]
    names = ["dataset", "network", "method", "burn_in_steps", "d", "seed", "step"]
    return pd.DataFrame(rows, columns=[*names, "best_train_accuracy", "best_train_loss"])


@pytest.mark.parametrize(("metric", "better"), [("train_accuracy", max), ("train_loss", min)])
def test_best_values_and_their_means_are_those_of_a_loop(table, metric, better):
    best, mean = best_values(table, metric), mean_best(table, metric)
    assert len(best) == 3 * 3 * 5 and "full" not in best.index.get_level_values("method")
    for method, t, d in (("affine", 4, 8), ("lottery_subspace", 0, 16)):
        rows = table[(table.method == method) & (table.burn_in_steps == t) & (table.d == d)]
        each = [better(rows[rows.seed == seed][f"best_{metric}"]) for seed in range(5)]
        assert best[method, t, "", d].tolist() == each
        assert mean[method, t, "", d] == pytest.approx(np.mean(each))


def test_variants_are_curves_of_their_own(table):
    other = table.assign(variant="fastfood", best_train_accuracy=1.0)
    mean = mean_best(pd.concat([table, other]))
    assert mean["affine", 0, "fastfood"].eq(1.0).all() and mean["affine", 0, ""].lt(1.0).all()


def test_two_networks_are_not_mixed(table):
    with pytest.raises(InputError, match="network varies: mlp, conv2"):
        best_values(pd.concat([table, table.assign(network="conv2")]))


def test_a_gain_is_paired_by_seed_and_has_students_interval(table):
    best = best_values(table)
    before, after = best["affine", 0, ""], best["affine", 4, ""].drop((16, 2))
    found = paired_gain(before, after)
    assert found.seeds.to_dict() == {4: 5, 8: 5, 16: 4}
    for d in (4, 16):
        difference = (after[d] - before[d]).dropna()
        low, high = stats.ttest_1samp(difference, 0).confidence_interval(0.95)
        assert found.gain[d] == pytest.approx((low + high) / 2)
        assert found.half_width[d] == pytest.approx((high - low) / 2)
        assert found.points[d] == f"{50 * (low + high):+.1f} ± {50 * (high - low):.1f}"
    runs = pd.MultiIndex.from_product([[2], [0, 1]], names=["d", "seed"])
    for change, said in ((-0.0004, "+0.0"), (-0.04, "−4.0")):  # no minus before zero, no hyphen
        assert (
            paired_gain(pd.Series(0.5, runs), 0.5 + pd.Series(change, runs)).points[2]
            == f"{said} ± 0.0"
        )
    with pytest.raises(InputError, match="after must be a series by d and seed"):
        paired_gain(before, after[4])


def test_equal_dimensions_invert_the_reference():
    d = 2.0 ** np.arange(8)
    reference = pd.Series(0.1 * np.arange(8), d)  # a straight line in log2 d
    wanted = pd.Series(0.1 * np.log2([3.0, 20.0, 100.0]), [1, 2, 3])
    np.testing.assert_allclose(equal_dimensions(wanted, reference), [3, 20, 100])
    assert np.isnan(equal_dimensions(pd.Series([0.71], [1]), reference)[1])
    dented = reference.copy()
    dented[d[4]] = 0.0  # what a smaller d has reached stays reached
    found = equal_dimensions(pd.Series([0.25, 0.4], [1, 2]), dented)
    np.testing.assert_allclose(found, [2**2.5, 2**4.5])


def test_the_steepest_rise_is_per_octave():
    assert steepest_rise(pd.Series({1: 0.0, 4: 0.4, 8: 0.7, 16: 0.8})) == (4, 8, 0.3)
    with pytest.raises(InputError, match="it needs 2 at least"):
        steepest_rise(pd.Series({4: 0.2}))


def test_the_width_of_a_transition_is_the_spread_of_the_dimensions_that_meet_a_level():
    """Accuracies are one curve of log2 d, shifted by a normal number of octaves for each seed."""
    rng, octaves = np.random.default_rng(0), np.arange(3, 12)
    shift = rng.normal(0, 0.15, 4000)
    curve = 1 / (1 + np.exp(-(octaves[:, None] - 7 - shift)))
    index = pd.MultiIndex.from_product([2**octaves, range(4000)], names=["d", "seed"])
    widths = transition_widths(pd.Series(curve.ravel(), index))
    np.testing.assert_allclose(widths[[2**6, 2**7, 2**8]], 0.15, rtol=0.1)
    flat = pd.Series([0.5, 0.6, 0.5, 0.4], index[:2].append(index[4000:4002]))
    assert transition_widths(flat).isna().all()
