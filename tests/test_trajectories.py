"""Lottery subspaces' trajectories: the Gram route against NumPy's SVD, and what the bases span."""

import threading
import time
from dataclasses import replace

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.linalg import subspace_angles

from dofbook.cache import Cache
from dofbook.errors import InputError
from dofbook.keys import Role, run_key
from dofbook.methods import LotterySubspace
from dofbook.methods.trajectories import record, spectrum, stored_steps
from dofbook.training import Task, burn_in

BASES = ("increments", "centred", "uncentred")


def _walk(T, D, seed=0):
    """Draw a random walk in a metric with a decaying spectrum, like a training trajectory."""
    scales = np.geomspace(1, 1e-2, D)
    steps = np.random.default_rng(seed).normal(size=(T, D)) * scales
    return np.cumsum(steps, axis=0).astype(np.float32)


def _by_svd(points, basis):
    """Decompose the D x T matrix itself, built anew from the weights w_0, w_1, ..."""
    w = np.concatenate([np.zeros((1, points.shape[1])), points.astype(np.float64)])
    matrix = {
        "increments": w[1:] - w[:-1],
        "centred": w - w.mean(axis=0),
        "uncentred": w[1:] - w[0],
    }[basis]
    left, values, _ = np.linalg.svd(matrix.T, full_matrices=False)
    return left, values


@pytest.fixture(scope="module")
def data(first_digits):
    return first_digits(300, 100)


@pytest.fixture(scope="module")
def task(data):
    """19 batches an epoch, the last of 12 images: 400 steps cross 21 epochs."""
    return Task("mlp", data, batch_size=16)


@pytest.fixture(scope="module")
def points(task):
    return record(task, 0, stored_steps(400))


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize(("T", "D"), [(25, 400), (30, 12), (1, 5)])
def test_the_gram_route_equals_the_svd(basis, T, D):
    points = _walk(T, D)
    left, values = _by_svd(points, basis)
    got = spectrum(points, basis)
    r = min(T, D)
    assert got.singular_values.shape == (r,)
    np.testing.assert_allclose(got.singular_values, values[:r], rtol=1e-8)
    for d in {1, (r + 1) // 2, r}:
        assert subspace_angles(got.rows[:d].T.astype(float), left[:, :d]).max() < 1e-5
    np.testing.assert_allclose(got.rows @ got.rows.T, np.eye(r), atol=2e-6)


@pytest.mark.parametrize("basis", BASES)
def test_a_real_trajectory_decomposes_as_by_svd(points, basis):
    left, values = _by_svd(points, basis)
    got = spectrum(points, basis)
    assert len(got.singular_values) == len(points)
    # Squaring leaves an error of eps (sigma_max / sigma)^2 in a small singular value.
    error = 1e-14 * (values[0] / got.singular_values) ** 2 + 1e-12
    deviation = np.abs(got.singular_values / values[: len(points)] - 1)
    assert (deviation < error).all()
    assert subspace_angles(got.rows[:10].T.astype(float), left[:, :10]).max() < 1e-5
    np.testing.assert_allclose(got.rows @ got.rows.T, np.eye(len(points)), atol=2e-6)


def test_the_bases_share_their_full_span_but_not_its_truncations(points):
    rows = {basis: spectrum(points, basis).rows.astype(np.float64) for basis in BASES}
    for one, other in ((0, 1), (1, 2), (0, 2)):
        a, b = rows[BASES[one]], rows[BASES[other]]
        assert subspace_angles(a.T, b.T).max() < 1e-3
    # Mean squared cosines between truncations, 0.65 to 0.78 when this was written.
    for d in (3, 5, 10):
        assert np.linalg.norm(rows["increments"][:d] @ rows["centred"][:d].T) ** 2 / d < 0.9
    # The point bases aim at the displacement; increments leave more of it out.
    missed = {
        basis: 1 - np.linalg.norm(rows[basis][:2] @ points[-1]) ** 2 / np.sum(points[-1] ** 2)
        for basis in BASES
    }
    assert missed["increments"] > 3 * missed["centred"] > 3 * missed["uncentred"]


@settings(max_examples=25, deadline=None)
@given(
    T=st.integers(1, 12), D=st.integers(1, 40), size=st.integers(1, 50),
    basis=st.sampled_from(BASES), seed=st.integers(0, 100),
)  # fmt: skip
def test_streaming_equals_all_at_once(T, D, size, basis, seed):
    points = _walk(T, D, seed)
    blocks, whole = spectrum(points, basis, size), spectrum(points, basis, D)
    np.testing.assert_allclose(blocks.singular_values, whole.singular_values, rtol=1e-6)
    d = len(whole.rows)
    np.testing.assert_allclose(
        blocks.rows.T @ blocks.rows, whole.rows.T @ whole.rows, atol=1e-5 * d
    )


def test_directions_without_movement_are_cut_off():
    points = np.repeat(_walk(3, 50), 4, axis=0)  # 12 points, 3 of them distinct
    for basis in BASES:
        got = spectrum(points, basis)
        assert got.rows.shape == (3, 50)
        assert np.isfinite(got.rows).all()
        # And what is left spans the points.
        inside = points @ got.rows.T @ got.rows
        np.testing.assert_allclose(inside, points, atol=1e-5)


def test_weak_directions_stay_orthonormal():
    # Singular values over six decades: the Gram matrix spans twelve of float64's sixteen.
    rng = np.random.default_rng(3)
    left, right = (np.linalg.qr(rng.normal(size=s))[0] for s in ((300, 20), (20, 20)))
    values = np.geomspace(1, 1e-6, 20)
    got = spectrum((left * values @ right).T, "uncentred")
    np.testing.assert_allclose(got.singular_values, values, rtol=1e-3)
    np.testing.assert_allclose(got.rows @ got.rows.T, np.eye(20), atol=2e-6)


def test_the_trajectory_passes_through_every_w_t(task, points):
    w0, key = task.initialization(0), run_key(0, Role.BURN_IN_BATCHES)
    for row in (0, 2, 3, 11):  # t = 5, 15, 20 (past the first short batch) and 60
        w_t = burn_in(task, w0, key, 5 * (row + 1))
        np.testing.assert_allclose(w0 + points[row], w_t, atol=1e-5)
    coarse = record(task, 0, stored_steps(40, spacing=10))
    np.testing.assert_allclose(coarse, points[1:8:2], atol=1e-6)


def test_points_are_stored_where_they_are_said_to():
    def stored(steps, **options):
        return LotterySubspace(**options).points(steps).tolist()

    assert stored(20) == [5, 10, 15, 20]
    assert stored(24) == [5, 10, 15, 20]
    assert stored(21, extra_first_step=1) == [6, 11, 16, 21]
    assert stored(3, spacing=1) == [1, 2, 3]
    assert stored(3, spacing=1, trajectory_steps=5) == [1, 2, 3, 4, 5]
    with pytest.raises(InputError, match="4 steps has no point at spacing 5"):
        stored(4)


def test_one_trajectory_serves_all_dimensions_and_a_number_of_steps_can_be_set(data):
    task = Task("mlp", data, epochs=4)  # of 3 steps
    method = LotterySubspace(spacing=2)
    first = method.spectrum(task, 1)
    assert method.spectrum(task, 1) is first
    assert first.rows.shape == (6, task.network.D)
    assert method.spectrum(task, 2) is not first
    assert replace(method, t=3).spectrum(task, 1) is first  # the path does not depend on t
    fixed = LotterySubspace(spacing=2, trajectory_steps=4).spectrum(task, 1)
    np.testing.assert_allclose(
        fixed.singular_values, spectrum(record(task, 1, stored_steps(4, 2))).singular_values,
        rtol=1e-5,
    )  # fmt: skip
    # Another copy of the data is another source, even under the same key.
    assert method.spectrum(replace(task, data=replace(data)), 1) is not first


def test_recent_results_are_dropped_when_they_exceed_the_budget():
    recent, source, made = Cache(10), (object(),), []

    def ask(key, size=4, source=source):
        return recent.get(source, key, lambda: made.append(key) or bytes(size), len)

    ask("a"), ask("b"), ask("a"), ask("c")  # the third result drops b, the least recent
    assert made == ["a", "b", "c"]
    ask("a"), ask("b")
    assert made == ["a", "b", "c", "b"]
    assert len(ask("large", 100)) == 100
    ask("large")
    assert made[-1] == "large"
    ask("b", source=(object(),))
    assert made[-2:] == ["large", "b"]


def test_threads_with_different_sources_do_not_get_each_others_results():
    recent, (one, other) = Cache(100), ((object(),), (object(),))
    started = threading.Event()

    def slow():
        started.set()
        time.sleep(0.2)  # for the other thread to ask
        return "one's"

    first = threading.Thread(target=lambda: recent.get(one, "key", slow, len))
    second = threading.Thread(target=lambda: recent.get(other, "key", lambda: "other's", len))
    first.start()
    started.wait()
    second.start()
    first.join(), second.join()
    assert recent.get(other, "key", lambda: "other's", len) == "other's"
    assert recent.get(one, "key", lambda: "one's", len) == "one's"


def test_a_trajectory_that_goes_nowhere_is_refused():
    with pytest.raises(InputError, match="no directions"):
        spectrum(np.zeros((3, 4), np.float32))
    with pytest.raises(InputError, match="no directions"):
        spectrum(np.full((3, 4), np.nan, np.float32))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("basis", "pca"),
        ("spacing", 0),
        ("spacing", 1.5),
        ("trajectory_steps", 0),
        ("extra_first_step", 2),
    ],
)
def test_values_out_of_range_are_refused(field, value):
    with pytest.raises(InputError, match=field):
        LotterySubspace(**{field: value})


def test_the_spectrum_follows_theory_for_a_random_walk():
    # For a walk with isotropic steps, principal component k carries 6 / (pi k)^2 of the variance,
    # increments 1 / T each, up to the edges (1 +- sqrt(T / D))^2 of Marchenko and Pastur's law.
    T = 300
    points = np.cumsum(np.random.default_rng(0).normal(size=(T, 8_000)), 0).astype(np.float32)
    shares = {}
    for basis in ("centred", "increments"):
        squares = spectrum(points, basis).singular_values ** 2
        shares[basis] = squares / squares.sum()
    np.testing.assert_allclose(shares["centred"][:3], 6 / (np.pi * np.arange(1, 4)) ** 2, rtol=0.05)
    edges = (1 + np.array([1, -1]) * np.sqrt(T / 8_000)) ** 2 / T
    np.testing.assert_allclose(shares["increments"][[0, -1]], edges, rtol=0.03)


def test_memory_is_that_of_the_points_and_the_result():
    points = _walk(40, 30_000)
    peak = _peak_bytes(lambda: spectrum(points, "centred", 500))
    assert peak < 1.3 * points.nbytes  # the result, and blocks of 500 of 30,000 coordinates


def _peak_bytes(call):
    import tracemalloc

    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_different_seeds_take_different_paths(task, points):
    other = record(task, 1, stored_steps(400))
    angles = subspace_angles(spectrum(points).rows[:5].T, spectrum(other).rows[:5].T)
    assert np.cos(angles).max() < 0.9
    assert jax.numpy.isfinite(other).all()
