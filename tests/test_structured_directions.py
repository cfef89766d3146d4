"""What distinguishes the kinds: transforms, exact orthonormality, sparsity, memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings, strategies as st

from dofbook.errors import InputError
from dofbook.subspaces import axis_aligned, fastfood, hadamard, sparse
from dofbook.subspaces.structured import factors, length_above, length_below, transform


def _columns(A):
    return np.asarray(jax.jit(jax.vmap(A.lift))(jnp.eye(A.d)), np.float64)


@given(D=st.integers(1, 10**9))
def test_some_transform_length_is_within_a_sixteenth(D):
    below, above = length_below(D), length_above(D)
    assert 15 * D < 16 * below <= 16 * D
    assert 16 * D <= 16 * above < 17 * D + 16
    for n in (below, above):
        sizes = [len(matrix) for matrix in factors(n)]
        assert np.prod(sizes, dtype=int) == n
        assert max(sizes, default=1) <= 32
        assert length_below(n) == length_above(n) == n


@pytest.mark.parametrize("n", [1, 2, 8, 64, 1024])
def test_the_transform_of_a_power_of_two_is_hadamards(n):
    got = jax.jit(jax.vmap(transform))(jnp.eye(n))
    np.testing.assert_allclose(got, scipy.linalg.hadamard(n) / n**0.5, atol=1e-6)


@pytest.mark.parametrize("n", [3, 5, 17, 31, 48, 200, 960])
def test_other_transforms_are_symmetric_orthogonal_and_spread(n):
    matrix = np.asarray(jax.jit(jax.vmap(transform))(jnp.eye(n)), np.float64)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
    np.testing.assert_allclose(matrix @ matrix, np.eye(n), atol=2e-6)
    assert abs(matrix).max() <= (2 / n) ** 0.5 + 1e-6


def test_the_odd_factor_is_the_discrete_hartley_transform():
    x = np.random.default_rng(0).normal(size=13)
    spectrum = np.fft.fft(x)
    wanted = (spectrum.real - spectrum.imag) / 13**0.5
    np.testing.assert_allclose(transform(jnp.asarray(x, jnp.float32)), wanted, atol=1e-5)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), D=st.integers(1, 300), data=st.data())
def test_hadamard_columns_are_orthonormal_for_any_dimensions(seed, D, data):
    d = data.draw(st.one_of(st.just(D), st.integers(1, D)))
    program = jax.jit(lambda key: jax.vmap(hadamard(key, d, D).lift)(jnp.eye(d)))
    columns = np.asarray(program(jax.random.key(seed)), np.float64)
    np.testing.assert_allclose(columns @ columns.T, np.eye(d), atol=3e-6)


@pytest.mark.parametrize("d, D", [(20_490, 20_490), (4096, 272_474)])  # Conv-2 and ResNet20
def test_hadamard_is_an_isometry_at_the_size_of_a_network(d, D):
    theta = jax.random.normal(jax.random.key(1), (d,))
    there_and_back = jax.jit(lambda A: (A.lift(theta), A.project(A.lift(theta))))
    lifted, back = there_and_back(hadamard(jax.random.key(0), d, D))
    np.testing.assert_allclose(jnp.linalg.norm(lifted), jnp.linalg.norm(theta), rtol=1e-5)
    np.testing.assert_allclose(back, theta, atol=2e-5)


def test_hadamard_columns_are_spread_over_all_coordinates():
    # Uniform unit vectors have E x^4 = 3 / (D (D + 2)) and max about sqrt(2 log(2 D) / D).
    D = 1000  # 992 of them transformed, 8 left over in each round
    columns = _columns(hadamard(jax.random.key(3), 992, D))
    assert (columns**4).mean() * D * (D + 2) < 3.5
    assert abs(columns).max() < 2 * (2 * np.log(2 * D) / D) ** 0.5 + 0.1


def test_fastfood_is_the_product_it_says():
    D, d = 64, 20
    A = fastfood(jax.random.key(0), d, D)
    H = scipy.linalg.hadamard(D) / D**0.5
    P = np.eye(D)[np.asarray(A.order)]
    wanted = np.diag(A.flips) @ H @ np.diag(A.scales) @ P @ H @ np.diag(A.signs)
    np.testing.assert_allclose(_columns(A), wanted[:, :d].T, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(_columns(A), axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("D", [256, 300])  # 300 is cut from 304
def test_fastfood_columns_have_unit_mean_square_and_nearly_gaussian_entries(D):
    d, draws = 100, 100
    program = jax.jit(jax.vmap(lambda key: jax.vmap(fastfood(key, d, D).lift)(jnp.eye(d))))
    columns = np.asarray(program(jax.random.split(jax.random.key(0), draws)), np.float64)
    squares = (columns**2).sum(-1)
    error = max(squares.mean(1).std() / draws**0.5, 1e-6)
    assert abs(squares.mean() - 1) < 4 * error
    assert squares.std() < (2 / D) ** 0.5
    # Given |G|^2 = D, E G^4 = 3 D / (D + 2): the entries' fourth moment falls short of 3 by that.
    assert (columns**4).mean() * D**2 == pytest.approx(3 * D / (D + 2), abs=0.1)
    # Var sum_j s_j G_j^2 / D = 2 / (D + 2) for balanced signs s; cutting adds a little.
    cosines = (columns @ columns.transpose(0, 2, 1))[:, *np.triu_indices(d, 1)]
    assert cosines.var() * (D + 2) == pytest.approx(2, rel=0.1)


def test_sparse_columns_share_no_row_while_rows_last():
    D, nnz = 100, 8
    A = sparse(jax.random.key(0), 12, D, nnz)  # 12 columns of 8 rows: 96 of 100
    assert len(np.unique(A.indices)) == 96
    columns = _columns(A)
    np.testing.assert_allclose(columns @ columns.T, np.eye(12), atol=1e-6)


def test_sparse_columns_have_as_many_entries_as_asked_and_unit_norm():
    D, nnz, d = 100, 30, 50
    columns = _columns(sparse(jax.random.key(1), d, D, nnz))
    assert (np.count_nonzero(columns, axis=1) == nnz).all()
    np.testing.assert_allclose(np.linalg.norm(columns, axis=1), 1, rtol=1e-5)
    # 3 columns to a shuffle: 16 whole shuffles of 90 rows, and two columns of the next.
    uses = np.count_nonzero(columns, axis=0)
    assert uses.sum() == d * nnz
    assert uses.max() <= 17


@pytest.mark.parametrize("D, nnz", [(100, 10), (101, 11), (1, 1), (20_490, 144)])
def test_sparse_columns_have_root_d_entries_by_default(D, nnz):
    assert sparse(jax.random.key(0), 1, D).values.shape == (1, nnz)


@pytest.mark.parametrize("nnz", [0, 11, 2.5])
def test_numbers_of_entries_out_of_range_are_refused(nnz):
    with pytest.raises(InputError, match=f"nnz is {nnz}; it must be a whole number from 1 to 10"):
        sparse(jax.random.key(0), 2, 10, nnz)


def test_axis_aligned_directions_scatter_and_gather():
    A = axis_aligned([4, 0, 2], 6)
    np.testing.assert_array_equal(A.lift(jnp.array([1.0, 2.0, 3.0])), [2, 0, 3, 0, 1, 0])
    np.testing.assert_array_equal(A.project(jnp.arange(6.0)), [4, 0, 2])
    gradient = jax.grad(lambda theta: (A.lift(theta) * jnp.arange(6.0)).sum())(jnp.zeros(3))
    np.testing.assert_array_equal(gradient, [4, 0, 2])


@pytest.mark.parametrize(
    "indices, problem",
    [
        ([0, 6], "indices run from 0 to 6; they must lie between 0 and D - 1 = 5"),
        ([-1, 2], "indices run from -1 to 2"),
        ([1, 2, 1], "3 indices hold only 2 distinct ones"),
        ([], "at least one integer"),
        ([0.0, 1.0], "type float64"),
        ([True, False], "type bool"),
    ],
)
def test_bad_coordinates_are_refused(indices, problem):
    with pytest.raises(InputError, match=problem):
        axis_aligned(indices, 6)


@pytest.mark.parametrize("draw, numbers", [(hadamard, 4), (fastfood, 4 * 17 / 16)])
@pytest.mark.parametrize("d", [10, 20_490])
def test_structured_directions_take_linear_memory_at_any_d(draw, numbers, d):
    D = 20_490
    leaves = jax.tree.leaves(draw(jax.random.key(0), d, D))
    assert sum(leaf.nbytes for leaf in leaves) <= 4 * numbers * D + 12


@pytest.mark.parametrize("draw", [hadamard, fastfood])
def test_a_compiled_product_takes_linear_memory_at_any_d(draw):
    D = 20_490
    A = draw(jax.random.key(0), D, D)
    g = jax.ShapeDtypeStruct((D,), jnp.float32)
    for product in (A.lift, A.project):
        memory = jax.jit(product).lower(g).compile().memory_analysis()
        assert memory.temp_size_in_bytes < 10 * 4 * D
