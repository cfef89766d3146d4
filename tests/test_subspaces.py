"""What holds for every kind of directions, and affine subspaces as pytrees."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dofbook.errors import InputError
from dofbook.subspaces import (
    KINDS,
    AffineSubspace,
    AxisAligned,
    Dense,
    Identity,
    directions,
    gaussian,
)
from dofbook.training import Task, fit

EVERY_KIND = pytest.mark.parametrize("kind", [*KINDS, "axis"])


@partial(jax.jit, static_argnums=(0, 2, 3))
def _draw(kind, key, d, D):
    """Draw directions of a kind; for "axis", random coordinates in random order."""
    if kind == "axis":
        return AxisAligned(jax.random.permutation(key, D)[:d], D)
    return directions(kind, key, d, D)


@jax.jit
def _products_of(A):
    D = jax.eval_shape(A.lift, jnp.zeros(A.d)).shape[0]
    return jax.vmap(A.lift)(jnp.eye(A.d)), jax.vmap(A.project)(jnp.eye(D)).T


def _products(kind, key, d, D):
    """Return the columns of A, read off its lift, and those of its project, (d, D)."""
    return _products_of(_draw(kind, key, d, D))


def test_columns_have_unit_norm_and_gaussian_inner_products():
    D, d = 4000, 60
    rows = np.asarray(gaussian(jax.random.key(0), d, D).rows, np.float64)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)
    inner = (rows @ rows.T)[np.triu_indices(d, 1)]
    # Inner products of independent uniform unit vectors have mean 0 and variance exactly 1 / D.
    assert abs(inner.mean()) < 4 * (D * inner.size) ** -0.5
    assert inner.var() * D == pytest.approx(1, abs=4 * (2 / inner.size) ** 0.5)


@EVERY_KIND
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    shape=st.sampled_from([(3, 3), (40, 150)]),
)
def test_project_is_the_transpose_of_lift(kind, seed, shape):
    lifted, projected = _products(kind, jax.random.key(seed), *shape)
    assert lifted.shape == shape
    assert abs(lifted).max() > 0.01
    np.testing.assert_allclose(projected, lifted, atol=1e-6)


@pytest.mark.parametrize("kind", ["sparse", "fastfood", "hadamard"])
def test_lift_and_project_are_adjoint_at_the_size_of_a_network(kind):
    D, d = 20_490, 100
    A, keys = _draw(kind, jax.random.key(0), d, D), jax.random.split(jax.random.key(1))
    theta, g = jax.random.normal(keys[0], (d,)), jax.random.normal(keys[1], (D,))
    lifted, projected = jax.jit(lambda A: (A.lift(theta), A.project(g)))(A)
    np.testing.assert_allclose(jnp.vdot(lifted, g), jnp.vdot(theta, projected), atol=1e-3)
    gradient = jax.jit(jax.grad(lambda theta, A: jnp.vdot(A.lift(theta), g)))(theta, A)
    np.testing.assert_allclose(gradient, projected, atol=1e-5)


D_NORMS, DRAWS = 250, 400


@lru_cache
def _projections(kind, d):
    """Project special vectors on many draws: A^T g / |g|, (draws, vectors, d)."""
    k = jnp.arange(D_NORMS)
    vectors = jnp.stack(
        [
            jax.random.normal(jax.random.key(9), (D_NORMS,)),
            jnp.ones(D_NORMS),
            (k == 3).astype(jnp.float32),
            1.0 - 2 * ((k >> 2) & 1),  # a Walsh function
            (k == 0) - 1.0 * (k == D_NORMS - 1),
        ]
    )
    vectors /= jnp.linalg.norm(vectors, axis=-1, keepdims=True)
    keys = jax.random.split(jax.random.key(1), DRAWS)
    project = lambda key: jax.vmap(_draw(kind, key, d, D_NORMS).project)(vectors)  # noqa: E731
    return np.asarray(jax.jit(lambda keys: jax.lax.map(project, keys))(keys), np.float64)


@EVERY_KIND
def test_norms_are_preserved_on_average_for_every_vector(kind):
    # E |A^T g|^2 = d |g|^2 / D (Johnson-Lindenstrauss scaling), however special g is.
    ratio = (_projections(kind, 128) ** 2).sum(-1) * D_NORMS / 128
    error = np.maximum(ratio.std(0), 1e-6) / DRAWS**0.5
    assert (abs(ratio.mean(0) - 1) < 4.5 * error).all(), (ratio.mean(0), error)


@pytest.mark.parametrize("d", [4, 32, 128])
@pytest.mark.parametrize("kind", ["gaussian", "fastfood", "hadamard"])
def test_norms_concentrate_at_the_johnson_lindenstrauss_rate(kind, d):
    D, ratio = D_NORMS, (_projections(kind, 128)[..., :d] ** 2).sum(-1) * D_NORMS / d
    # For a uniform subspace |A^T g|^2 / |g|^2 is Beta(d/2, (D-d)/2); columns that meet at cosines
    # of variance v add 2 v (d - 1) / d to its relative variance: v = 1 / D or 2 / D.
    uniform = 2 * (D - d) / (d * (D + 2))
    cosines = {"gaussian": 1 / D, "fastfood": 2 / D, "hadamard": 0}[kind]
    wanted = (uniform + 2 * cosines * (d - 1) / d) ** 0.5
    # A standard deviation of 400 draws is known to about 4% (one sigma), more for small d.
    assert ratio[:, 0].std() == pytest.approx(wanted, rel=0.2)
    # No vector is preserved worse than by independent Gaussian columns, but for this and cosines.
    assert (ratio.std(0) < 1.2 * (2 / d + 2 / D) ** 0.5).all(), ratio.std(0)


@EVERY_KIND
def test_directions_of_one_key_are_nested(kind):
    key = jax.random.key(5)
    small, large = (_products(kind, key, d, 150)[0] for d in (7, 40))
    np.testing.assert_allclose(small, large[:7], atol=1e-7)


def test_kinds_differ_between_keys():
    for kind in KINDS:
        one, other = (_products(kind, jax.random.key(k), 7, 150)[0] for k in (0, 1))
        assert abs(one - other).max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [0, -1, 11, 2.5])
def test_dimensions_out_of_range_are_refused(kind, d):
    with pytest.raises(InputError, match=f"d is {d}; it must be a whole number from 1 to 10"):
        directions(kind, jax.random.key(0), d, 10)


def test_unknown_kinds_are_refused():
    allowed = "'gaussian', 'sparse', 'fastfood', 'hadamard'"
    with pytest.raises(InputError, match=f"'gauss'; allowed: {allowed}"):
        directions("gauss", jax.random.key(0), 1, 10)


@EVERY_KIND
def test_stacked_directions_equal_a_loop_over_runs(kind):
    d, D = 40, 150
    keys = jax.random.split(jax.random.key(0), 3)
    stacked = jax.tree.map(lambda *runs: jnp.stack(runs), *(_draw(kind, k, d, D) for k in keys))
    theta, g = (jax.random.normal(key, (3, n)) for key, n in zip(keys[:2], (d, D), strict=True))
    lifted, projected = jax.jit(
        jax.vmap(lambda A, theta, g: (A.lift(theta), A.project(g))),
    )(stacked, theta, g)
    for run, key in enumerate(keys):
        columns = _products(kind, key, d, D)[0]
        np.testing.assert_allclose(lifted[run], theta[run] @ columns, atol=1e-5)
        np.testing.assert_allclose(projected[run], columns @ g[run], atol=1e-5)


def test_drawing_vectorises_over_keys():
    keys = jax.random.split(jax.random.key(2), 2)
    stacked = jax.vmap(lambda key: directions("hadamard", key, 40, 150))(keys)
    for run, key in enumerate(keys):
        single = directions("hadamard", key, 40, 150)
        np.testing.assert_array_equal(stacked.orders[run], single.orders)
        np.testing.assert_array_equal(stacked.signs[run], single.signs)


@pytest.mark.parametrize("kind", ["sparse", "fastfood", "hadamard"])
def test_training_agrees_with_the_explicit_matrix(kind, first_digits):
    task = Task("mlp", first_digits(300, 9), epochs=2)
    D = task.network.D
    w0 = task.network.init(jax.random.key(0))
    A = _draw(kind, jax.random.key(1), 20, D)
    explicit = Dense(jax.jit(jax.vmap(A.lift))(jnp.eye(20)))
    got, wanted = (fit(task, AffineSubspace(w0, a), jax.random.key(2)) for a in (A, explicit))
    assert np.ptp(wanted.history.train_loss) > 0.01
    # Adam divides by the gradient's size, which magnifies rounding where gradients are small.
    np.testing.assert_allclose(got.theta, wanted.theta, rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(got.history.train_loss, wanted.history.train_loss, rtol=1e-3)


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


def test_the_identity_is_the_full_space():
    g = jax.random.normal(jax.random.key(1), (10,))
    assert Identity(10).d == 10
    np.testing.assert_array_equal(Identity(10).lift(g), g)
    np.testing.assert_array_equal(Identity(10).project(g), g)


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


def test_what_is_no_affine_subspace_is_refused():
    """Where people make one; the trees that JAX makes of it hold anything."""
    offset, A = jnp.zeros(4), Identity(4)
    wrong = [("word", A), (jnp.zeros(5), A), (jnp.zeros(4, int), A), (offset, None), (None, A)]
    wrong += [(offset, Dense("word")), (offset, Dense(jnp.zeros(4)))]
    for parts in wrong:
        with pytest.raises(InputError, match="offset is|directions is|directions raised"):
            AffineSubspace(*parts)
    with pytest.raises(InputError, match="register their class"):
        AffineSubspace(offset, Dense)
    subspace = AffineSubspace(offset, gaussian(jax.random.key(0), 2, 4))
    for leaf in (None, "word", object(), 0):
        tree = jax.tree.map(lambda _, leaf=leaf: leaf, subspace)
        assert (tree.offset, tree.directions.rows) == (leaf, leaf)
    axes = jax.tree.map(lambda _: 0, subspace)
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), subspace)
    assert jax.vmap(AffineSubspace.point, (axes, 0))(stacked, jnp.ones((2, 2))).shape == (2, 4)
    assert jax.eval_shape(lambda: subspace).offset.shape == (4,)
    leaves = jax.tree_util.tree_leaves_with_path(subspace)
    paths = [jax.tree_util.keystr(path) for path, _ in leaves]
    assert paths == [".offset", ".directions.rows"]
