"""Success probability: against counting by hand, exact intervals and invariants."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import beta, binomtest

from dofbook.errors import InputError
from dofbook.success import (
    jeffreys_interval,
    running_maximum,
    success_counts,
    success_fraction,
    wilson_interval,
)

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 7))
# A coarse lattice, so that ties with the levels occur; NaN is a diverged run.
NUMBERS = st.one_of(st.integers(-8, 8).map(lambda i: i / 4), st.just(math.nan))
MATRICES = SHAPES.flatmap(lambda shape: arrays(float, shape, elements=NUMBERS))
LEVELS = st.lists(st.integers(-9, 9).map(lambda i: i / 4), min_size=1, max_size=5)
KINDS = st.sampled_from(["loss", "accuracy"])


def slow_probability(values, levels, kind):
    """Count in plain Python."""
    table = []
    for row in values:
        table.append([])
        for level in levels:
            hits = 0
            for value in row:
                if not math.isnan(value) and (value <= level if kind == "loss" else value >= level):
                    hits += 1
            table[-1].append(hits / len(row))
    return np.array(table)


@settings(deadline=None)
@given(MATRICES, LEVELS, KINDS)
def test_probability_is_the_fraction_counted_by_hand(values, levels, kind):
    found = success_fraction(values, levels, kind=kind)
    np.testing.assert_array_equal(found, slow_probability(values, levels, kind))


@settings(deadline=None)
@given(MATRICES, LEVELS, KINDS, st.randoms(use_true_random=False))
def test_probability_ignores_the_order_of_runs(values, levels, kind, random):
    order = list(range(values.shape[1]))
    random.shuffle(order)
    np.testing.assert_array_equal(
        success_fraction(values[:, order], levels, kind=kind),
        success_fraction(values, levels, kind=kind),
    )


@settings(deadline=None)
@given(MATRICES, LEVELS, KINDS)
def test_probability_is_monotone_in_the_level(values, levels, kind):
    found = success_fraction(values, sorted(levels), kind=kind)
    step = np.diff(found, axis=1)
    assert np.all(step >= 0) if kind == "loss" else np.all(step <= 0)


@settings(deadline=None)
@given(MATRICES, LEVELS, KINDS, st.integers(-20, 20))
def test_probability_ignores_units_and_negation_swaps_the_kinds(values, levels, kind, power):
    found = success_fraction(values, levels, kind=kind)
    scale = 2.0**power
    scaled = success_fraction(scale * values, scale * np.array(levels), kind=kind)
    other = "loss" if kind == "accuracy" else "accuracy"
    negated = success_fraction(-values, -np.array(levels), kind=other)
    np.testing.assert_array_equal(scaled, found)
    np.testing.assert_array_equal(negated, found)


@settings(deadline=None)
@given(MATRICES, LEVELS, KINDS, st.data())
def test_absent_runs_are_not_failures(values, levels, kind, data):
    present = data.draw(arrays(bool, values.shape))
    present[:, 0] = True
    found = success_fraction(values, levels, kind=kind, present=present)
    for row, mask, line in zip(values, present, found, strict=True):
        expected = slow_probability(row[None, mask], levels, kind)[0]
        np.testing.assert_array_equal(line, expected)


def test_a_diverged_run_fails_at_every_level():
    values = np.array([[math.nan, 0.5], [math.nan, math.nan]])
    assert success_fraction(values, [1e300], kind="loss").tolist() == [[0.5], [0.0]]
    assert success_fraction(values, [0.0], kind="accuracy").tolist() == [[0.5], [0.0]]
    assert success_fraction([[math.inf]], [1e300], kind="loss").item() == 0


def test_float32_values_lie_on_their_decimal_level():
    accuracy = np.array([[0.9, 0.3, 0.7]], dtype=np.float32)
    for column, level in enumerate((0.9, 0.3, 0.7)):
        reached = [success_fraction(accuracy[:, [column]], level, kind=k).item()
                   for k in ("loss", "accuracy")]  # fmt: skip
        assert reached == [1, 1]
    # One image of 70,000 more or less is not on the level.
    assert success_fraction([[0.9 - 1 / 70_000]], 0.9, kind="accuracy").item() == 0


def test_counts_add_up():
    k, n = success_counts([[1.0, 2.0, 3.0]], [2.0], kind="loss", present=[[True, True, False]])
    assert (k.tolist(), n.tolist()) == ([[2]], [2])


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_intervals_agree_with_scipy(confidence):
    for n in (1, 2, 3, 10, 57):
        k = np.arange(n + 1)
        low, high = wilson_interval(k, n, confidence)
        jeffreys = jeffreys_interval(k, n, confidence)
        for i in k:
            exact = binomtest(int(i), n).proportion_ci(confidence, method="wilson")
            np.testing.assert_allclose((low[i], high[i]), exact, atol=1e-12)
            ends = beta.ppf([(1 - confidence) / 2, (1 + confidence) / 2], i + 0.5, n - i + 0.5)
            ends = [0 if i == 0 else ends[0], 1 if i == n else ends[1]]
            np.testing.assert_allclose((jeffreys[0][i], jeffreys[1][i]), ends, atol=1e-9)


def test_nine_of_ten_leave_much_open():
    low, high = jeffreys_interval(9, 10)
    assert (round(float(low), 2), round(float(high), 2)) == (0.62, 0.99)


@settings(deadline=None)
@given(st.integers(1, 200), st.data())
def test_intervals_mirror_and_contain_the_fraction(n, data):
    k = data.draw(st.integers(0, n))
    for interval in (wilson_interval, jeffreys_interval):
        low, high = interval(k, n)
        mirrored = interval(n - k, n)
        assert 0 <= low <= k / n <= high <= 1
        np.testing.assert_allclose((1 - high, 1 - low), mirrored, atol=1e-9)


def test_runs_per_dimension_broadcast_over_levels():
    k, n = np.array([[1, 2], [3, 4]]), np.array([2, 5])
    low, _ = wilson_interval(k, n)
    expected = [[wilson_interval(k[i, j], n[i])[0] for j in range(2)] for i in range(2)]
    np.testing.assert_array_equal(low, expected)


@settings(deadline=None, max_examples=50)
@given(MATRICES, KINDS)
def test_running_maximum_carries_the_best_over(values, kind):
    found = running_maximum(values, kind=kind)
    best = np.nanmax if kind == "accuracy" else np.nanmin
    for i in range(len(values)):
        for j in range(values.shape[1]):
            seen = values[: i + 1, j]
            expected = math.nan if np.isnan(seen).all() else best(seen)
            np.testing.assert_equal(found[i, j], expected)
    np.testing.assert_array_equal(running_maximum(found, kind=kind), found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], 0.5, "loss"), "shape"),
        ((np.zeros((2, 0)), 0.5, "loss"), "at least one"),
        (([[1.0]], [], "loss"), "levels"),
        (([[1.0]], math.nan, "loss"), "levels"),
        (([[1.0]], 0.5, "error"), "kind is 'error'"),
    ],
)
def test_bad_input_is_named(arguments, message):
    values, levels, kind = arguments
    with pytest.raises(InputError, match=message):
        success_fraction(values, levels, kind=kind)


def test_bad_counts_masks_and_confidence_are_named():
    with pytest.raises(InputError, match="must agree"):
        success_fraction([[1.0]], 0.5, kind="loss", present=[[True, True]])
    with pytest.raises(InputError, match="at least one run"):
        success_fraction([[1.0]], 0.5, kind="loss", present=[[False]])
    for k, n in ((3, 2), (-1, 2), (0.5, 2), (0, 0)):
        with pytest.raises(InputError, match="whole numbers"):
            wilson_interval(k, n)
    with pytest.raises(InputError, match="broadcast"):
        wilson_interval(np.zeros((2, 3)), np.zeros(4))
    for confidence in (0, 1, math.nan, -0.1, True):
        with pytest.raises(InputError, match="confidence"):
            wilson_interval(1, 2, confidence)


def test_success_needs_neither_jax_nor_plotting():
    code = (
        "import sys, dofbook.success;"
        "print(*{'jax', 'matplotlib', 'sklearn', 'tensorflow_datasets'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
