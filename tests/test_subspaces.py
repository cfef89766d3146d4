"""Linear algebra of the directions, and affine subspaces as pytrees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dofbook.errors import InputError
from dofbook.subspaces import AffineSubspace, Dense, Identity, gaussian


def test_columns_have_unit_norm_and_gaussian_inner_products():
    D, d = 4000, 60
    rows = np.asarray(gaussian(jax.random.key(0), d, D).rows, np.float64)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)
    inner = (rows @ rows.T)[np.triu_indices(d, 1)]
    # Inner products of independent uniform unit vectors have mean 0 and variance exactly 1 / D.
    assert abs(inner.mean()) < 4 * (D * inner.size) ** -0.5
    assert inner.var() * D == pytest.approx(1, abs=4 * (2 / inner.size) ** 0.5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), d=st.sampled_from([1, 3, 8]))
def test_lift_and_project_are_adjoint(seed, d):
    D = 40
    keys = jax.random.split(jax.random.key(seed), 3)
    for directions, size in ((gaussian(keys[0], d, D), d), (Identity(D), D)):
        theta, g = jax.random.normal(keys[1], (size,)), jax.random.normal(keys[2], (D,))
        np.testing.assert_allclose(
            jnp.vdot(directions.lift(theta), g),
            jnp.vdot(theta, directions.project(g)),
            rtol=1e-4, atol=1e-4,
        )  # fmt: skip


def test_random_directions_preserve_norms_on_average():
    # E |A^T g|^2 = d |g|^2 / D for columns uniform on the sphere (Johnson-Lindenstrauss scaling).
    D, d, g = 500, 20, jax.random.normal(jax.random.key(9), (500,))
    keys = jax.random.split(jax.random.key(1), 200)
    squares = [float(jnp.sum(gaussian(k, d, D).project(g) ** 2)) for k in keys]
    ratio = np.asarray(squares) * D / (d * float(jnp.sum(g**2)))
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / 200**0.5


def test_directions_of_one_key_are_nested():
    key = jax.random.key(5)
    small, large = gaussian(key, 7, 100), gaussian(key, 20, 100)
    np.testing.assert_array_equal(small.rows, large.rows[:7])


@pytest.mark.parametrize("d", [0, -1, 11])
def test_dimensions_out_of_range_are_refused(d):
    with pytest.raises(InputError, match=f"d is {d}; it must lie between 1 and D = 10"):
        gaussian(jax.random.key(0), d, 10)


def test_points_and_gradients_of_an_affine_subspace():
    rows = jax.random.normal(jax.random.key(0), (3, 10))
    subspace = AffineSubspace(jnp.arange(10.0), Dense(rows))
    theta = jnp.array([1.0, -2.0, 0.5])
    assert (subspace.d, subspace.D) == (3, 10)
    wanted = np.arange(10.0) + np.asarray(rows).T @ np.asarray(theta)
    np.testing.assert_allclose(subspace.point(theta), wanted, rtol=1e-5)
    g = jax.random.normal(jax.random.key(1), (10,))
    gradient = jax.grad(lambda theta: jnp.vdot(g, subspace.point(theta)))(theta)
    np.testing.assert_allclose(gradient, subspace.directions.project(g), rtol=1e-5)


def test_subspaces_pass_through_jit_and_vmap():
    keys = jax.random.split(jax.random.key(0), 4)
    stacked = jax.vmap(
        lambda k: AffineSubspace(jax.random.normal(k, (12,)), Dense(jax.random.normal(k, (2, 12))))
    )(keys)
    points = jax.jit(jax.vmap(AffineSubspace.point))(stacked, jnp.ones((4, 2)))
    assert points.shape == (4, 12)
    np.testing.assert_allclose(
        points[3], stacked.offset[3] + stacked.directions.rows[3].sum(0), rtol=1e-5
    )
