"""The affine subspace of weight space that everything trains in, and what its directions offer."""

from dataclasses import dataclass
from typing import Protocol

import jax

from dofbook import checks


class Directions(Protocol):
    """Offer a linear map A from R^d to R^D and its transpose."""

    @property
    def d(self) -> int:
        """Training dimension."""
        ...

    def lift(self, theta: jax.Array) -> jax.Array:
        """Map theta (d,) to A theta (D,)."""
        ...

    def project(self, g: jax.Array) -> jax.Array:
        """Map g (D,) to A^T g (d,)."""
        ...


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class AffineSubspace:
    """Hold the affine subspace {offset + A theta} (paper, Eq. 2.2).

    ``offset`` (D,) is the point of theta = 0: w0, or w_t after burn-in; ``directions`` is A.

    >>> from dofbook.subspaces import axis_aligned
    >>> AffineSubspace(jax.numpy.ones(3), axis_aligned([2], 3)).point(jax.numpy.array([5.0]))
    Array([1., 1., 6.], dtype=float32)
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


def check_dimension(d: int, D: int, name: str = "d") -> int:
    """Require a training dimension, or another number, to be a whole number from 1 to D.

    >>> check_dimension(3, 2)
    Traceback (most recent call last):
    dofbook.errors.InputError: d is 3; it must be a whole number from 1 to 2.
    """
    return checks.integer(name, d, 1, checks.integer("D", D, 1))
