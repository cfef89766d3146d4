"""Random directions with few non-zero entries per column."""

from dataclasses import dataclass, field
from functools import partial
from math import isqrt

import jax
import jax.numpy as jnp

from dofbook.errors import InputError
from dofbook.subspaces.affine import check_dimension


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Sparse:
    """Hold the non-zero entries of A, nnz in every column: ``values`` (d, nnz).

    ``indices`` (d, nnz) are their rows, distinct in every column.

    >>> Sparse(jnp.array([[0, 2]]), jnp.array([[0.6, 0.8]]), 3).lift(jnp.array([5.0]))
    Array([3., 0., 4.], dtype=float32)
    """

    indices: jax.Array
    values: jax.Array
    D: int = field(metadata={"static": True})

    @property
    def d(self) -> int:
        return self.indices.shape[-2]

    def lift(self, theta: jax.Array) -> jax.Array:
        zeros = jnp.zeros(self.D, theta.dtype)
        return zeros.at[self.indices].add(theta[:, None] * self.values, mode="promise_in_bounds")

    def project(self, g: jax.Array) -> jax.Array:
        return (g.at[self.indices].get(mode="promise_in_bounds") * self.values).sum(-1)


@partial(jax.jit, static_argnames=("d", "D", "nnz"))
def _draw(key: jax.Array, d: int, D: int, nnz: int) -> tuple[jax.Array, jax.Array]:
    indices_key, values_key = jax.random.split(key)
    columns = D // nnz

    def deal(block):
        order = jax.random.permutation(jax.random.fold_in(indices_key, block), D)
        return order[: columns * nnz].reshape(columns, nnz)

    def column(i):
        g = jax.random.normal(jax.random.fold_in(values_key, i), (nnz,))
        return g / jnp.linalg.norm(g)

    indices = jax.lax.map(deal, jnp.arange(-(-d // columns))).reshape(-1, nnz)[:d]
    return indices, jax.lax.map(column, jnp.arange(d), batch_size=min(d, 256))


def sparse(key: jax.Array, d: int, D: int, nnz: int | None = None) -> Sparse:
    """Draw d <= D Gaussian directions with nnz non-zero entries in every column, of unit norm.

    They take 8 d nnz bytes; nnz, from 1 to D, is by default the square root of D, rounded up (Li,
    Hastie and Church, 2006). Rows are dealt to the columns from a shuffled deck of all D,
    reshuffled when fewer than nnz are left: as long as d <= D // nnz the columns share no row, so
    they are exactly orthonormal, and the rows outside them never move. E |A^T g|^2 = d |g|^2 / D
    for every g. Column i depends on the key and i alone (given D and nnz), so the subspaces of one
    key are nested.

    Source: Larsen et al. (2022), released code, option ``nnz`` (8192 there). It deals without
    replacement for d nnz <= D as here; beyond, it draws rows independently, so that one column may
    draw a row twice and have fewer entries.

    >>> sparse(jax.random.key(0), 2, 10, nnz=5).indices.shape
    (2, 5)
    """
    check_dimension(d, D)
    nnz = isqrt(D - 1) + 1 if nnz is None else nnz
    if not 1 <= nnz <= D:
        raise InputError(f"nnz is {nnz}; it must lie between 1 and D = {D}.")
    indices, values = _draw(key, d, D, nnz)
    return Sparse(indices, values, D)
