"""The search for a first success on a grid, asked at once or in turns."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from dofbook.errors import InputError
from dofbook.success.bisection import (
    Search,
    hit_threshold,
    quantile_error,
    quantile_interval,
    reach,
)
from dofbook.success.thresholds import Threshold, first_threshold


@given(st.integers(2, 5000), st.data())
def test_a_search_over_dimensions_finds_the_hitting_dimension(D, data):
    """On every d below D, or on a grid whose steps are the resolution wanted."""
    ratio = data.draw(st.sampled_from([1.0, 1.05, 1.5]))
    hit = data.draw(st.integers(1, D))
    dims = np.arange(1, D)
    if ratio > 1:
        dims = np.unique((ratio ** np.arange(math.log(D) / math.log(ratio))).astype(int))
        dims = dims[dims < D] if D > 2 else np.array([1])
    guess = data.draw(st.integers(0, len(dims) - 1))
    asked = []

    def succeeds(point):
        asked.append(dims[point])
        return dims[point] >= hit

    found = Search(len(dims)).run(succeeds, guess)
    failed, succeeded = np.append(0, dims)[found.failed + 1], np.append(dims, D)[found.succeeded]
    assert failed < hit <= succeeded
    assert len(asked) == len(set(asked)) == len(found.outcomes)
    assert all(1 <= d < D for d in asked)
    if ratio == 1:
        assert (failed + 1 + succeeded) / 2 == hit
    elif failed > 0 and succeeded - failed > 1 and succeeded < D:
        assert succeeded <= failed * ratio + 1
    assert len(asked) <= 3 * np.log2(D) + 4


def test_asking_in_turns_is_running():
    by_hand, run = Search(50), Search(50).run(lambda point: point >= 31, 7)
    while not by_hand.done:
        point = by_hand.ask(7)
        by_hand.tell(point, point >= 31)
    assert by_hand == run
    assert (run.failed, run.succeeded) == (30, 31)


def test_bad_searches_and_hits_are_refused():
    for n in (0, -1, 2.5, None):
        with pytest.raises(InputError, match="n is"):
            Search(n)
    with pytest.raises(InputError, match="point is 3"):
        Search(3).tell(3, True)
    with pytest.raises(InputError, match="guess is 'middle'"):
        Search(3).ask("middle")
    with pytest.raises(InputError, match="at least 2 initializations"):
        quantile_interval([1, 2, 4], [1], 0.5, 0.9)
    with pytest.raises(InputError, match="hits holds 4"):
        quantile_interval([1, 2, 4], [1, 4], 0.5, 0.9)


def test_reach_is_the_longer_side_in_octaves():
    assert reach(Threshold(8, 1, 64, 4, 32, 0.9)) == 2
    assert reach(Threshold(8, 1, 64)) == math.inf
    assert reach(Threshold(8, 1, 64, 4, math.inf, 0.9)) == math.inf


@pytest.mark.parametrize("delta", [0.1, 0.5])
def test_the_error_of_a_measured_quantile_is_that_of_simulated_ones(delta):
    hits = np.random.default_rng(0).normal(40, 3, size=(4000, 300))
    measured = np.quantile(hits, 1 - delta, axis=1).std()
    assert quantile_error(3.0, 300, delta) == pytest.approx(measured, rel=0.05)


def test_the_threshold_of_hits_is_that_of_counts_at_every_d():
    rng, grid = np.random.default_rng(0), np.arange(1, 13)
    for runs, delta in ((10, 0.1), (5, 0.1), (3, 1 / 3), (29, 0.3)):
        hits = rng.integers(1, 13, (runs, 4)).astype(float)
        hits[rng.uniform(size=hits.shape) < 0.1] = np.inf  # never
        counts = (hits <= grid[:, None, None]).sum(axis=1)
        wanted = first_threshold(grid, counts, runs, delta)
        np.testing.assert_array_equal(hit_threshold(hits, delta), wanted)
