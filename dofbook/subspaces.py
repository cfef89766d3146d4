"""Affine subspaces w(theta) = offset + A theta of weight space: the one object of the package.

Directions are pytrees with two methods, ``lift`` (theta -> A theta) and ``project`` (g -> A^T g);
a method of the paper's Table 1 is a choice of offset and directions (see ``dofbook.methods``).
"""

from dataclasses import dataclass
from functools import partial
from typing import Protocol

import jax
import jax.numpy as jnp

from dofbook.errors import InputError


class Directions(Protocol):
    """What every kind of directions offers."""

    @property
    def d(self) -> int:
        """Training dimension."""

    def lift(self, theta: jax.Array) -> jax.Array:
        """Map theta (d,) to A theta (D,)."""

    def project(self, g: jax.Array) -> jax.Array:
        """Map g (D,) to A^T g (d,)."""


@partial(jax.tree_util.register_dataclass, data_fields=["rows"], meta_fields=[])
@dataclass(frozen=True)
class Dense:
    """Hold the columns of A explicitly.

    Args:
        rows: A^T, (d, D): the columns of A as rows, the layout in which both products read memory
            once and in order.
    """

    rows: jax.Array

    @property
    def d(self) -> int:
        """Training dimension."""
        return self.rows.shape[0]

    def lift(self, theta: jax.Array) -> jax.Array:
        """Map theta (d,) to A theta (D,)."""
        return theta @ self.rows

    def project(self, g: jax.Array) -> jax.Array:
        """Map g (D,) to A^T g (d,)."""
        return self.rows @ g


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["D"])
@dataclass(frozen=True)
class Identity:
    """Stand for the full space: A is the identity of R^D.

    Args:
        D: Number of parameters.
    """

    D: int

    @property
    def d(self) -> int:
        """Training dimension, here D."""
        return self.D

    def lift(self, theta: jax.Array) -> jax.Array:
        """Return theta itself."""
        return theta

    def project(self, g: jax.Array) -> jax.Array:
        """Return g itself."""
        return g


@partial(jax.tree_util.register_dataclass, data_fields=["offset", "directions"], meta_fields=[])
@dataclass(frozen=True)
class AffineSubspace:
    """Hold the affine subspace {offset + A theta} (paper, Eq. 2.2).

    Args:
        offset: The point theta = 0 stands for, (D,): w0, or w_t after burn-in.
        directions: A, one of the directions of this module or the reader's own.
    """

    offset: jax.Array
    directions: Directions

    @property
    def d(self) -> int:
        """Training dimension."""
        return self.directions.d

    @property
    def D(self) -> int:
        """Number of parameters."""
        return self.offset.shape[-1]

    def point(self, theta: jax.Array) -> jax.Array:
        """Map theta (d,) to the weights w = offset + A theta, (D,)."""
        return self.offset + self.directions.lift(theta)


@partial(jax.jit, static_argnames=("d", "D"))
def _gaussian_rows(key: jax.Array, d: int, D: int) -> jax.Array:
    def row(i):
        g = jax.random.normal(jax.random.fold_in(key, i), (D,))
        return g / jnp.linalg.norm(g)

    return jax.lax.map(row, jnp.arange(d))


def gaussian(key: jax.Array, d: int, D: int) -> Dense:
    """Draw dense Gaussian directions with columns of unit norm (paper, A.4).

    The span is uniform on the Grassmannian. Column i depends on the key and i alone, so with the
    same key the subspace of dimension d lies inside that of any larger dimension.

    Args:
        key: Random key.
        d: Training dimension, 1 <= d <= D.
        D: Number of parameters.

    Returns:
        The directions, 4 d D bytes.

    Raises:
        InputError: If d does not lie between 1 and D.
    """
    if not 1 <= d <= D:
        raise InputError(f"d is {d}; it must lie between 1 and D = {D}.")
    return Dense(_gaussian_rows(key, d, D))
