"""The loss to second order at a point: Hessian-vector products, Lanczos, the quadratic well.

Largest eigenpairs come from ``scipy.sparse.linalg.eigsh``, the rest of the spectrum and the weight
of a displacement on it from Lanczos quadrature; together they make a ``QuadraticWell``. The Hessian
of a network linearized around the point itself is its Gauss-Newton matrix: positive semidefinite.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.sparse.linalg import LinearOperator, eigsh

from dofbook.errors import InputError
from dofbook.geometry.quadratic import QuadraticWell
from dofbook.networks import Network
from dofbook.training import Objective, classification
from dofbook.training.compiling import fast_jit


@lru_cache(maxsize=8)
def _product_program(network: Network, objective: Objective):
    @fast_jit
    def product(w, v, x, y):
        def total(w):
            return len(x) * objective.loss(network.apply(w, x), y).mean()

        return jax.jvp(jax.grad(total), (w,), (v,))[1]

    return product


def hessian(
    network: Network, w: jax.Array, x: jax.Array, y: jax.Array, chunk: int = 500,
    objective: Objective = classification,
) -> LinearOperator:  # fmt: skip
    """Make the Hessian of the mean loss at w (D,) a linear operator, with products in float32.

    The network is linearized or ``with_derivatives("all")``; it takes ``chunk`` inputs at once.

    >>> from dofbook.networks import flatten
    >>> from dofbook.training import regression
    >>> w, x = jnp.zeros(1), jnp.array([[1.0], [3.0]])
    >>> line = flatten((lambda key: jnp.zeros(1), lambda w, x: x * w), x)
    >>> hessian(line, w, x, x, objective=regression) @ np.ones(1)  # 2 mean(x^2)
    array([10.])
    """
    program = _product_program(network, objective)

    def product(v):
        v = jnp.asarray(v.reshape(-1), jnp.float32)
        parts = (program(w, v, x[i : i + chunk], y[i : i + chunk]) for i in range(0, len(x), chunk))
        return np.asarray(sum(parts), np.float64) / len(x)

    return LinearOperator((len(w), len(w)), matvec=product, rmatvec=product, dtype=np.float64)


class Quadrature(NamedTuple):
    """Hold a discrete measure on the spectrum: sum of weights h(nodes) stands for v^T h(H) v.

    The nodes (steps,) increase; the weights (steps,) are positive and add up to |v|^2.

    >>> lanczos_quadrature(lambda u: np.array([1.0, 2.0]) * u, np.ones(2), 2).weights.round(9)
    array([1., 1.])
    """

    nodes: np.ndarray
    weights: np.ndarray


def lanczos_quadrature(
    product: Callable[[np.ndarray], np.ndarray], v: np.ndarray, steps: int
) -> Quadrature:
    """Find the Gauss quadrature of the spectral measure of a symmetric matrix seen from v (D,).

    v is not 0. The quadrature is exact for polynomials of degree below twice the number of steps, 1
    to D; fewer are made if the space of v is exhausted. ``product`` multiplies the matrix with a
    vector. New vectors are made orthogonal to all former ones, twice, so no eigenvalue is found
    again. Source: Golub and Welsch (1969); Ubaru, Chen and Saad (2017).

    >>> lanczos_quadrature(lambda u: np.array([1.0, 2.0]) * u, np.ones(2), 2).nodes.round(9)
    array([1., 2.])
    """
    norm = np.linalg.norm(v)
    if steps < 1 or not norm > 0:
        raise InputError(f"steps is {steps} and |v| is {norm:.3g}; both must be positive.")
    basis, diagonal, off = [v / norm], [], []
    for _ in range(min(steps, len(v))):
        u = product(basis[-1])
        diagonal.append(basis[-1] @ u)
        known = np.array(basis)
        for _ in range(2):
            u = u - known.T @ (known @ u)
        size = np.linalg.norm(u)
        if size <= 1e-7 * max(np.abs(diagonal)):
            break
        off.append(size)
        basis.append(u / size)
    nodes, vectors = eigh_tridiagonal(diagonal, off[: len(diagonal) - 1])
    return Quadrature(nodes, norm**2 * vectors[0] ** 2)


class HessianSpectrum(NamedTuple):
    """Hold the spectrum of a symmetric matrix, and how a displacement lies in it.

    ``top`` holds the largest eigenvalues, decreasing, and ``top_coordinates`` the displacement's
    along their eigenvectors. ``rest`` is the density of the other eigenvalues, its weights adding
    up to D - top, and ``rest_displacement`` the measure on them of the rest of the displacement.

    >>> rest = Quadrature(np.ones(1), np.ones(1))
    >>> HessianSpectrum(np.array([3.0]), np.array([1.0]), rest, rest).top
    array([3.])
    """

    top: np.ndarray
    top_coordinates: np.ndarray
    rest: Quadrature
    rest_displacement: Quadrature


def lanczos_spectrum(
    operator: LinearOperator, displacement: np.ndarray, rng: np.random.Generator, top: int = 30,
    steps: int = 60, probes: int = 2,
) -> HessianSpectrum:  # fmt: skip
    """Resolve the largest eigenvalues of a symmetric operator singly, the others as a density.

    ``displacement`` (D,) is for example w0 - w_opt. The density is averaged over ``probes`` random
    vectors, with ``steps`` Lanczos steps each.

    >>> from scipy.sparse.linalg import aslinearoperator
    >>> diagonal = aslinearoperator(np.diag(np.arange(1.0, 9.0)))
    >>> lanczos_spectrum(diagonal, np.ones(8), np.random.default_rng(0), top=2).top.round(4)
    array([8., 7.])
    """
    D = operator.shape[0]
    values, vectors = eigsh(operator, top, which="LA", v0=rng.standard_normal(D), tol=1e-6)
    order = np.argsort(-values)
    values, vectors = values[order], vectors[:, order]

    def outside(v):
        return v - vectors @ (vectors.T @ v)

    def seen(v):
        return lanczos_quadrature(lambda u: outside(operator.matvec(outside(u))), outside(v), steps)

    drawn = [seen(rng.standard_normal(D)) for _ in range(probes)]
    nodes, weights = np.concatenate(drawn, axis=1)
    order = np.argsort(nodes)
    weights = weights[order] * (D - top) / weights.sum()
    displacement = np.asarray(displacement, np.float64)
    rest = Quadrature(nodes[order], weights)
    return HessianSpectrum(values, vectors.T @ displacement, rest, seen(displacement))


def quadratic_well(spectrum: HessianSpectrum) -> QuadraticWell:
    """Build the quadratic well a spectrum describes, negative eigenvalues taken as 0.

    The density becomes its quantiles, one eigenvalue each; the displacement, which is the well's
    w0, has its weight at each node on the eigenvalue nearest to it.

    >>> rest, moved = Quadrature(np.ones(1), np.full(1, 2.0)), Quadrature(np.ones(1), np.ones(1))
    >>> quadratic_well(HessianSpectrum(np.array([3.0]), np.array([1.0]), rest, moved)).eigenvalues
    array([3., 1., 1.])
    """
    nodes, weights = spectrum.rest
    count = round(weights.sum())
    ranks = (np.arange(count) + 0.5) / count
    rest = nodes[np.minimum(np.searchsorted(np.cumsum(weights) / count, ranks), len(nodes) - 1)]
    squares = np.zeros(count)
    for node, weight in zip(*spectrum.rest_displacement, strict=True):
        squares[np.argmin(np.abs(rest - node))] += weight
    eigenvalues = np.clip(np.concatenate([spectrum.top, rest]), 0, None)
    return QuadraticWell(eigenvalues, np.concatenate([spectrum.top_coordinates, np.sqrt(squares)]))
