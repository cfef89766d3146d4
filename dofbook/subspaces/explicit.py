"""Directions held as columns, dense or sparse, as some coordinates of weight space, or all.

Random column i depends on the key, D, nnz and i alone: a key's subspaces are nested in d.
"""

from dataclasses import dataclass, field
from functools import partial
from math import isqrt

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from dofbook import checks
from dofbook.errors import InputError
from dofbook.subspaces.affine import check_dimension


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Dense:
    """Hold the columns of A as the ``rows`` of A^T, (d, D), which both products read in order.

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


def _unit_columns(key: jax.Array, d: int, length: int, batch_size: int | None = None) -> jax.Array:
    def column(i):
        g = jax.random.normal(jax.random.fold_in(key, i), (length,))
        return g / jnp.linalg.norm(g)

    return jax.lax.map(column, jnp.arange(d), batch_size=batch_size)


_gaussian_rows = partial(jax.jit, static_argnames=("d", "length"))(_unit_columns)


def gaussian(key: jax.Array, d: int, D: int) -> Dense:
    """Draw d <= D Gaussian columns of unit norm (paper, A.4), a uniform span, in 4 d D bytes.

    >>> gaussian(jax.random.key(0), 2, 5).rows.shape
    (2, 5)
    """
    return Dense(_gaussian_rows(checks.key(key), check_dimension(d, D), D))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Sparse:
    """Hold the ``values`` (d, nnz) of A that are not zero and their ``indices``, distinct rows.

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
def _draw_sparse(key: jax.Array, d: int, D: int, nnz: int) -> tuple[jax.Array, jax.Array]:
    indices_key, values_key = jax.random.split(key)
    columns = D // nnz

    def deal(block):
        order = jax.random.permutation(jax.random.fold_in(indices_key, block), D)
        return order[: columns * nnz].reshape(columns, nnz)

    indices = jax.lax.map(deal, jnp.arange(-(-d // columns))).reshape(-1, nnz)[:d]
    return indices, _unit_columns(values_key, d, nnz, batch_size=min(d, 256))


def sparse(key: jax.Array, d: int, D: int, nnz: int | None = None) -> Sparse:
    """Draw d <= D Gaussian directions with nnz non-zero entries in every column, of unit norm.

    They take 8 d nnz bytes; nnz, from 1 to D, is by default the square root of D, rounded up (Li,
    Hastie and Church, 2006). Rows are dealt to the columns from a shuffled deck of all D,
    reshuffled when fewer than nnz are left: for d <= D // nnz the columns share no row and are
    orthonormal, and rows outside them never move. E |A^T g|^2 = d |g|^2 / D for any g.
    Source: Larsen et al. (2022), released code, option ``nnz`` (8192 there). For d nnz > D it draws
    rows independently instead, so that a column may draw a row twice and have fewer entries.

    >>> sparse(jax.random.key(0), 2, 10, nnz=5).indices.shape
    (2, 5)
    """
    d = check_dimension(d, D)
    nnz = isqrt(D - 1) + 1 if nnz is None else check_dimension(nnz, D, "nnz")
    return Sparse(*_draw_sparse(checks.key(key), d, D, nnz), D=D)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class AxisAligned:
    """Keep d coordinates: the columns of A are unit vectors e_k, exactly orthonormal.

    ``indices`` are the k, (d,) int32, distinct; ``axis_aligned`` checks them.

    >>> AxisAligned(jnp.array([2]), 3).project(jnp.arange(3.0))
    Array([2.], dtype=float32)
    """

    indices: jax.Array
    D: int = field(metadata={"static": True})

    @property
    def d(self) -> int:
        return self.indices.shape[-1]

    def lift(self, theta: jax.Array) -> jax.Array:
        zeros = jnp.zeros(self.D, theta.dtype)
        return zeros.at[self.indices].set(theta, unique_indices=True, mode="promise_in_bounds")

    def project(self, g: jax.Array) -> jax.Array:
        return g.at[self.indices].get(unique_indices=True, mode="promise_in_bounds")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Identity:
    """Stand for the full space: A is the identity of R^D.

    >>> Identity(3).d
    3
    """

    D: int = field(metadata={"static": True})

    def __post_init__(self):
        checks.integer_fields(self, 1, "D")

    @property
    def d(self) -> int:
        return self.D

    def lift(self, theta: jax.Array) -> jax.Array:
        return theta

    def project(self, g: jax.Array) -> jax.Array:
        return g


def axis_aligned(indices: ArrayLike, D: int) -> AxisAligned:
    """Keep the given coordinates, distinct integers from 0 to D - 1; theta follows their order.

    >>> axis_aligned([4, 0], 5).lift(jnp.array([1.0, 2.0]))
    Array([2., 0., 0., 0., 1.], dtype=float32)
    """
    checks.array("indices", indices)
    given, D = np.asarray(indices), checks.integer("D", D, 1)
    if given.ndim != 1 or not given.size or given.dtype.kind not in "iu":
        found = f"shape {given.shape} and type {given.dtype}"
        raise InputError(f"indices have {found}; they must be a list of at least one integer.")
    if given.min() < 0 or given.max() >= D:
        found, most = f"{given.min()} to {given.max()}", f"D - 1 = {D - 1}"
        raise InputError(f"indices run from {found}; they must lie between 0 and {most}.")
    if len(np.unique(given)) < given.size:
        raise InputError(f"{given.size} indices hold only {len(np.unique(given))} distinct ones.")
    return AxisAligned(jnp.asarray(given, jnp.int32), D)
