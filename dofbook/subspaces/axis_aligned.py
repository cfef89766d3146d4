"""Some coordinates of weight space as directions: pruning."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from dofbook.errors import InputError


@partial(jax.tree_util.register_dataclass, data_fields=["indices"], meta_fields=["D"])
@dataclass(frozen=True)
class AxisAligned:
    """Keep d coordinates: the columns of A are unit vectors e_k, exactly orthonormal.

    Args:
        indices: The coordinates k, (d,) int32, distinct; ``axis_aligned`` checks them.

    >>> AxisAligned(jnp.array([2]), 3).project(jnp.arange(3.0))
    Array([2.], dtype=float32)
    """

    indices: jax.Array
    D: int

    @property
    def d(self) -> int:
        return self.indices.shape[-1]

    def lift(self, theta: jax.Array) -> jax.Array:
        zeros = jnp.zeros(self.D, theta.dtype)
        return zeros.at[self.indices].set(theta, unique_indices=True, mode="promise_in_bounds")

    def project(self, g: jax.Array) -> jax.Array:
        return g.at[self.indices].get(unique_indices=True, mode="promise_in_bounds")


def axis_aligned(indices: ArrayLike, D: int) -> AxisAligned:
    """Keep the given coordinates, distinct integers from 0 to D - 1; theta follows their order.

    Raises:
        InputError: If a coordinate is not an integer, out of range or given twice, or if there is
            none.

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
