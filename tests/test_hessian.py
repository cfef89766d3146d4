"""Hessian products and Lanczos against dense matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from scipy.sparse.linalg import aslinearoperator

from dofbook.datasets import load
from dofbook.errors import InputError
from dofbook.geometry.quadratic import QuadraticWell, closed_form
from dofbook.landscape import hessian as hes
from dofbook.landscape.linearization import linearize
from dofbook.networks import MLP, ConvNet, flatten
from dofbook.training import classification


def cross_entropy(logits, labels):
    return classification.loss(logits, labels).mean()


@pytest.fixture(scope="module")
def digits():
    d = load("digits")
    return jnp.asarray(d.x_train[:50]), jnp.asarray(d.y_train[:50])


def test_products_equal_the_dense_hessian_for_a_convolutional_network(digits):
    x, y = digits
    network = flatten(ConvNet((1, 2), 10, derivatives="all"), x[:1])
    w = network.init(jax.random.key(0))
    dense = jax.jit(jax.hessian(lambda w: cross_entropy(network.apply(w, x), y)))(w)
    operator = hes.hessian(network, w, x, y, chunk=20)  # the last chunk is a short one
    columns = operator @ np.eye(network.D)[:, ::17]
    np.testing.assert_allclose(columns, np.asarray(dense)[:, ::17], atol=2e-5)


def test_the_hessian_of_the_linearized_loss_is_the_gauss_newton_matrix(digits):
    x, y = digits
    network = flatten(MLP((2,), 10), x[:1])
    w = network.init(jax.random.key(1))
    J = np.asarray(jax.jit(jax.jacrev(lambda w: network.apply(w, x)))(w), np.float64)
    p = scipy.special.softmax(np.asarray(network.apply(w, x), np.float64), axis=1)
    middle = np.einsum("nc,ck->nck", p, np.eye(10)) - np.einsum("nc,nk->nck", p, p)
    dense = np.einsum("nci,nck,nkj->ij", J, middle, J) / len(x)
    operator = hes.hessian(linearize(network, w), w, x, y)
    np.testing.assert_allclose(operator @ np.eye(network.D), dense, atol=1e-5)
    assert np.linalg.eigvalsh(dense).min() > -1e-9


def _matrix(D=80, seed=0):
    rng = np.random.default_rng(seed)
    values = np.concatenate([[50, 20, 8], np.geomspace(1e-3, 2, D - 3)])
    Q = np.linalg.qr(rng.standard_normal((D, D)))[0]
    return (Q * values) @ Q.T, np.sort(values), rng


def test_lanczos_finds_every_eigenvalue_and_the_weight_of_the_start_on_each():
    H, values, rng = _matrix(D=40)
    v = rng.standard_normal(40)
    nodes, weights = hes.lanczos_quadrature(lambda u: H @ u, v, 40)
    np.testing.assert_allclose(nodes, np.linalg.eigvalsh(H), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(weights, (np.linalg.eigh(H)[1].T @ v) ** 2, rtol=1e-5, atol=1e-10)


def test_a_short_quadrature_is_exact_for_low_degrees():
    H, _, rng = _matrix()
    v = rng.standard_normal(80)
    nodes, weights = hes.lanczos_quadrature(lambda u: H @ u, v, 4)
    for power in range(8):
        wanted = v @ np.linalg.matrix_power(H, power) @ v
        assert weights @ nodes**power == pytest.approx(wanted, rel=1e-9)


def test_lanczos_stops_when_the_space_of_the_start_is_exhausted():
    H = np.diag([1.0, 2.0, 3.0, 4.0])
    nodes, weights = hes.lanczos_quadrature(lambda u: H @ u, np.array([0, 3.0, 0, 4.0]), 4)
    np.testing.assert_allclose(nodes, [2, 4], atol=1e-12)
    np.testing.assert_allclose(weights, [9, 16], atol=1e-9)
    with pytest.raises(InputError, match="positive"):
        hes.lanczos_quadrature(lambda u: H @ u, np.zeros(4), 2)


def test_the_spectrum_gives_the_wells_closed_form():
    H, values, rng = _matrix()
    w0 = rng.standard_normal(80)
    spectrum = hes.lanczos_spectrum(
        aslinearoperator(H), w0, np.random.default_rng(1), top=5, steps=25, probes=20
    )
    np.testing.assert_allclose(spectrum.top, values[::-1][:5], rtol=1e-6)
    assert spectrum.rest.weights.sum() == pytest.approx(75)
    total = np.sum(spectrum.top_coordinates**2) + spectrum.rest_displacement.weights.sum()
    assert total == pytest.approx(w0 @ w0)
    vectors = np.linalg.eigh(H)[1]
    ours, exact = hes.quadratic_well(spectrum), QuadraticWell(values, vectors.T @ w0)
    assert ours.D == exact.D
    assert ours.initial_loss == pytest.approx(exact.initial_loss, rel=1e-2)
    eps = exact.initial_loss * np.array([0.5, 0.1, 1e-2, 1e-3])
    got, wanted = closed_form(ours, eps).codimension, closed_form(exact, eps).codimension
    np.testing.assert_allclose(got, wanted, atol=1.5)


def test_negative_eigenvalues_count_as_zero():
    spectrum = hes.HessianSpectrum(
        np.array([3.0]), np.array([1.0]),
        hes.Quadrature(np.array([-0.5, 1.0]), np.array([1.0, 2.0])),
        hes.Quadrature(np.array([1.0]), np.array([4.0])),
    )  # fmt: skip
    well = hes.quadratic_well(spectrum)
    np.testing.assert_array_equal(np.sort(well.eigenvalues), [0, 1, 1, 3])
    assert well.w0 @ well.w0 == pytest.approx(5)
