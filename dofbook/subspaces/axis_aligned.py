"""Some coordinates of weight space as directions, for pruning, or all of them."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from dofbook.errors import InputError


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
    given = np.asarray(indices)
    if given.ndim != 1 or not given.size or not np.issubdtype(given.dtype, np.integer):
        raise InputError(
            f"indices have shape {given.shape} and type {given.dtype}; they must be a list of at "
            "least one integer."
        )
    if given.min() < 0 or given.max() >= D:
        raise InputError(
            f"indices run from {given.min()} to {given.max()}; they must lie between 0 and "
            f"D - 1 = {D - 1}."
        )
    if len(np.unique(given)) < given.size:
        raise InputError(f"{given.size} indices hold only {len(np.unique(given))} distinct ones.")
    return AxisAligned(jnp.asarray(given, jnp.int32), D)
