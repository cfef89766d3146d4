"""Directions held as an explicit matrix, and Gaussian ones."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from dofbook.subspaces.affine import check_dimension


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Dense:
    """Hold the columns of A explicitly, as the ``rows`` of A^T, (d, D).

    In this layout both products read memory once and in order.

    >>> Dense(jnp.array([[3.0, 4.0]])).project(jnp.ones(2))
    Array([7.], dtype=float32)
    """

    rows: jax.Array

    @property
    def d(self) -> int:
        return self.rows.shape[0]

    def lift(self, theta: jax.Array) -> jax.Array:
        return theta @ self.rows

    def project(self, g: jax.Array) -> jax.Array:
        return self.rows @ g


@partial(jax.jit, static_argnames=("d", "D"))
def _gaussian_rows(key: jax.Array, d: int, D: int) -> jax.Array:
    def row(i):
        g = jax.random.normal(jax.random.fold_in(key, i), (D,))
        return g / jnp.linalg.norm(g)

    return jax.lax.map(row, jnp.arange(d))


def gaussian(key: jax.Array, d: int, D: int) -> Dense:
    """Draw dense Gaussian directions, d <= D columns of unit norm (paper, A.4); 4 d D bytes.

    The span is uniform on the Grassmannian. Column i depends on the key and i alone, so with the
    same key the subspace of dimension d lies inside that of any larger dimension.

    >>> gaussian(jax.random.key(0), 2, 5).rows.shape
    (2, 5)
    """
    check_dimension(d, D)
    return Dense(_gaussian_rows(key, d, D))
