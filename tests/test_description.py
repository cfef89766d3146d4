"""Bits of a trained network against codes written out, and the bound against binomial tails."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

import dofbook as dof
from dofbook.errors import InputError
from dofbook.landscape.description import (
    Description,
    describe,
    error_bound,
    integer_bits,
    sequence_bits,
)
from dofbook.training import Objective


def arithmetic_code(symbols, kinds):
    """Code a sequence by exact fractions: the first dyadic interval inside its own."""
    low, width, counts = Fraction(0), Fraction(1), [1] * kinds
    for symbol in symbols:
        total = sum(counts)
        low += width * Fraction(sum(counts[:symbol]), total)
        width *= Fraction(counts[symbol], total)
        counts[symbol] += 1
    length = 0
    while True:
        start = math.ceil(low * 2**length)
        if Fraction(start + 1, 2**length) <= low + width:
            return format(start, f"0{length}b") if length else ""
        length += 1


@pytest.mark.parametrize(("kinds", "d"), [(1, 4), (2, 6), (3, 5)])
def test_a_code_written_out_is_never_longer_than_the_count(kinds, d):
    codes = {}
    for symbols in itertools.product(range(kinds), repeat=d):
        codes[symbols] = arithmetic_code(symbols, kinds)
        assert len(codes[symbols]) <= sequence_bits(symbols, kinds)
    words = sorted(codes.values())
    assert len(set(words)) == kinds**d
    assert not any(b.startswith(a) for a, b in itertools.pairwise(words))  # a prefix code
    assert sum(2.0 ** (2 - sequence_bits(s, kinds)) for s in codes) == pytest.approx(1)


def test_the_lengths_of_integers_satisfy_krafts_inequality_to_the_end():
    assert sum(2.0 ** -integer_bits(n) for n in range(1, 2**12)) == pytest.approx(1 - 2**-12)


def test_a_perfect_network_has_the_bound_of_a_line():
    budget = (250 * math.log(2) + math.log(20)) / 5000
    assert error_bound(0, 5000, 250) == pytest.approx(1 - math.exp(-budget), rel=1e-12)


@pytest.mark.parametrize("error", [0.01, 0.2, 0.7])
def test_the_bound_lies_where_the_relative_entropy_spends_the_budget(error):
    p = error_bound(error, 1000, bits=30, confidence=0.9)
    kl = error * math.log(error / p) + (1 - error) * math.log((1 - error) / (1 - p))
    assert kl == pytest.approx((30 * math.log(2) + math.log(10)) / 1000, rel=1e-9)
    assert p > error


@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
def test_one_network_fixed_beforehand_is_covered(p):
    """Exactly: the binomial probability of a training error whose bound lies below p."""
    n = 60
    bounds = np.array([error_bound(k / n, n, bits=0, confidence=0.8) for k in range(n + 1)])
    assert (np.diff(bounds) >= 0).all()
    assert stats.binom.pmf(np.arange(n + 1), n, p)[bounds < p].sum() <= 0.2


def test_more_bits_and_more_errors_promise_less_and_never_more_than_one():
    assert error_bound(0.1, 100, 10) < error_bound(0.1, 100, 20) < error_bound(0.2, 100, 20)
    assert error_bound(0.5, 10, 1e6) == error_bound(1, 10, 0) == 1


def test_the_description_is_the_network_it_measured():
    task = dof.Task("mlp", "digits", epochs=3)
    subspace = dof.RandomAffine().subspace(task, 0, 32)
    theta = dof.train(task, subspace, 0).theta
    found = describe(task, subspace, theta, levels=4)
    from dofbook.training import evaluate

    again = dict(
        zip(task.objective.metric_names, evaluate(task, subspace.point(found.theta)), strict=True)
    )
    assert found.error == pytest.approx(1 - float(again["train_accuracy"]), abs=1e-7)
    assert set(found.theta) == {float(np.float32(level)) for level in found.levels}
    head = 64 + integer_bits(32) + integer_bits(4) + 4 * 16
    assert found.bits == pytest.approx(head + sequence_bits(found.symbols, 4))
    nearest = np.abs(np.asarray(theta)[:, None] - found.levels.astype(float)).argmin(axis=1)
    assert (nearest == found.symbols).mean() > 0.9  # but for those between two rounded centres
    assert found.error <= found.bound() <= 1


def test_all_levels_keep_theta_to_half_precision():
    task = dof.Task("mlp", "digits", epochs=1)
    subspace = dof.RandomAffine().subspace(task, 0, 8)
    theta = np.array([3.0, 1.0, 2.0, 1.0, 0.0, -1.5, 2.5, 3.0], np.float32)
    found = describe(task, subspace, theta, levels=100)
    assert isinstance(found, Description)
    np.testing.assert_array_equal(found.theta, theta)


def test_a_task_without_accuracy_is_refused():
    task = dof.Task("mlp", "digits", Objective("loss_alone", dof.classification.loss))
    with pytest.raises(InputError, match="this task has no accuracy"):
        describe(task, None, [0.0])
