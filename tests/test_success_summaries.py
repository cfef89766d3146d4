"""The two questions of the package, asked of a table and of a plain array."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dofbook.errors import InputError
from dofbook.success import (
    Threshold,
    compare_hits,
    inverted_interval,
    success_map,
    success_probability,
    threshold,
    threshold_table,
    wilson_interval,
)

DIMS = [16, 32, 64]
ACCURACY = np.array([[0.5, 0.6, 0.7], [0.92, 0.8, 0.95], [0.97, 0.96, 0.99]])


def table(accuracy=ACCURACY, **columns):
    """Make the tidy table of one curve, with a checkpoint at the start and one at the end."""
    rows = [
        {"d": d, "seed": seed, "step": step, "best_test_accuracy": value * step,
         "best_test_error": 1 - value * step}
        for d, line in zip(DIMS, accuracy, strict=True)
        for seed, value in enumerate(line)
        for step in (0, 1)
    ]  # fmt: skip
    shared = {
        "dataset": "digits", "network": "mlp", "method": "affine", "burn_in_steps": 0, "D": 1000
    }  # fmt: skip
    return pd.DataFrame(rows).assign(**{**shared, **columns})


def test_table_and_array_give_the_same_probabilities():
    found = success_probability(table(), "test_accuracy", 0.9)
    assert list(found.columns) == [
        "method", "burn_in_steps", "variant", "d", "successes", "runs", "probability", "lower",
        "upper",
    ]  # fmt: skip
    assert found.probability.tolist() == [(line >= 0.9).mean() for line in ACCURACY]
    np.testing.assert_array_equal((found.lower, found.upper), wilson_interval([0, 2, 3], 3))
    plain = success_probability(ACCURACY, "test_accuracy", 0.9, dims=DIMS)
    pd.testing.assert_frame_equal(plain, found[list(plain.columns)])
    loss = success_probability(1 - ACCURACY, "train_loss", 0.1, dims=DIMS)
    assert loss.probability.tolist() == found.probability.tolist()
    wide = success_probability(table(), "test_accuracy", 0.9, confidence=0.99)
    assert (wide.lower <= found.lower).all() and (wide.upper >= found.upper).all()


def test_several_datasets_keep_their_names_apart():
    both = pd.concat([table(), table(dataset="mnist")])
    found = success_probability(both, "test_accuracy", 0.9)
    assert list(found.columns[:2]) == ["dataset", "network"]
    whole = success_map(both, "test_accuracy", 0.9).drop(columns="level")
    pd.testing.assert_frame_equal(found, whole)
    assert list(threshold(both, "test_accuracy", 0.9).index) == [
        "digits, mlp: affine", "mnist, mlp: affine"
    ]  # fmt: skip


def test_a_threshold_has_the_inverted_interval_and_shows_it():
    found = threshold(table(), "test_accuracy", 0.9, delta=0.4)
    low, high = inverted_interval(DIMS, [0, 2, 3], 3, 0.4)
    assert found == Threshold(32, 16, 64, float(low), float(high), 0.95)
    assert repr(found) == str(found) == "32 [<= 16, > 64]"
    assert found == threshold(ACCURACY, "test_accuracy", 0.9, 0.4, dims=DIMS)
    never = threshold(ACCURACY, "test_accuracy", 1.0, dims=DIMS)
    assert (never.value, str(never)) == (math.inf, "> 64 [64, > 64]")
    row = threshold_table(table(), "test_accuracy", 0.9, interval="inverted").iloc[0]
    plain = threshold(table(), "test_accuracy", 0.9)
    assert (row.threshold, row.lower, row.upper) == (plain.value, plain.lower, plain.upper)


def test_several_curves_give_a_series_by_label_and_the_baseline_is_none():
    full = table(method="full", d=1000, seed=9).head(2)
    runs = pd.concat([table(), table(ACCURACY - 0.2, burn_in_steps=8), full])
    found = threshold(runs, "test_accuracy", 0.9, delta=0.4)
    assert found.index.tolist() == ["affine", "affine, t = 8"]
    assert [str(d) for d in found] == ["32 [<= 16, > 64]", "> 64 [64, > 64]"]
    assert found.name == "d* at test_accuracy 0.9"


def test_other_metrics_count_by_their_name():
    error = success_probability(table(), "test_error", 0.1)
    accuracy = success_probability(table(), "test_accuracy", 0.9)
    assert error.successes.tolist() == accuracy.successes.tolist()
    correlation = threshold([[-0.5], [0.3]], "test_r2", 0.2, dims=[1, 2])
    assert correlation.value == 2
    bits = threshold([[7.5], [3.0]], "test_bits_loss", 4, dims=[1, 2])
    assert bits.value == 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: threshold(ACCURACY, "test_accuracy", 0.9), "needs dims"),
        (lambda: threshold(ACCURACY, "accuracy", 0.9, dims=DIMS), "metric is 'accuracy'"),
        (lambda: threshold(ACCURACY, None, 0.9, dims=DIMS), "metric is None"),
        (lambda: threshold(ACCURACY, "test_accuracy", 90, dims=DIMS), "level is 90"),
        (lambda: threshold(100 * ACCURACY, "test_accuracy", 0.9, dims=DIMS), "not percent"),
        (lambda: threshold(ACCURACY, "test_accuracy", 0.9, dims=DIMS[:2]), "length"),
        (lambda: threshold(ACCURACY[0], "test_accuracy", 0.9, dims=DIMS), "shape"),
        (lambda: threshold(ACCURACY, "test_accuracy", 0.9, 1.0, dims=DIMS), "delta"),
        (
            lambda: threshold(table(), "test_loss", 0.9),
            "no column best_test_loss; its metrics are test_accuracy, test_error",
        ),
        (lambda: threshold(table(method="full"), "test_error", 0.9), "no method but 'full'"),
        (lambda: success_probability(table(), "test_error", [0.1, 0.2]), "level is"),
        (lambda: success_probability(table(), "test_error", 0.1, confidence=95), "confidence"),
        (
            lambda: threshold(pd.concat([table(), table(D=2000)]), "test_error", 0.1),
            "D varies: 1000, 2000",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()


def test_first_hits_are_compared_seed_by_seed():
    """Accuracies are straight in log2 d, and each seed's line is shifted by octaves of its own."""
    octaves, shift = np.log2(DIMS)[:, None], np.array([0.25, 0.5, 0.75, 0.5])
    before = table(octaves / 10 + 0 * shift)
    after = table((octaves + shift) / 10)
    found = compare_hits(before, after[after.seed < 3], "test_accuracy", [0.5, 0.9])
    assert found.seeds.to_dict() == {0.5: 3, 0.9: 0}
    low, high = stats.ttest_1samp(-shift[:3], 0).confidence_interval(0.95)
    assert found.ratio[0.5] == pytest.approx((low + high) / 2)
    assert found.half_width[0.5] == pytest.approx((high - low) / 2)
    on_grid = compare_hits(before, after, "test_accuracy", [0.5], interpolate=False)
    assert on_grid.ratio.tolist() == [0]
