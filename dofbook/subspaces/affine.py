"""The affine subspace of weight space that everything trains in."""

from dataclasses import dataclass
from functools import partial

import jax

from dofbook.subspaces.base import Directions


@partial(jax.tree_util.register_dataclass, data_fields=["offset", "directions"], meta_fields=[])
@dataclass(frozen=True)
class AffineSubspace:
    """Hold the affine subspace {offset + A theta} (paper, Eq. 2.2).

    Args:
        offset: The point theta = 0 stands for, (D,): w0, or w_t after burn-in.
        directions: A, one of the directions of this package or the reader's own.

    >>> import jax.numpy as jnp
    >>> from dofbook.subspaces import axis_aligned
    >>> AffineSubspace(jnp.ones(3), axis_aligned([2], 3)).point(jnp.array([5.0]))
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
