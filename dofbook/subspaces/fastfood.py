"""Fastfood directions: nearly Gaussian columns in linear memory."""

from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp

from dofbook.subspaces.affine import check_dimension, transpose
from dofbook.subspaces.transform import length_above, transform


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Fastfood:
    """Hold the leading D x d block of sqrt(n / D) S T G P T B, n >= D.

    B (``signs``, (n,)) and S (``flips``, (D,)) are random signs, P (``order``, (n,)) a random
    permutation, G Gaussian numbers (``scales``, (n,), times sqrt(n / D)), T an orthonormal
    transform of length n, the Hadamard transform where n is a power of two.

    >>> one = jnp.ones(4)
    >>> Fastfood(one, jnp.arange(4), one, one, d=2).lift(jnp.array([1.0, 2.0]))  # T T = I
    Array([1., 2., 0., 0.], dtype=float32)
    """

    signs: jax.Array
    order: jax.Array
    scales: jax.Array
    flips: jax.Array
    d: int = field(metadata={"static": True})

    def lift(self, theta: jax.Array) -> jax.Array:
        n = self.signs.shape[-1]
        x = transform(jnp.pad(theta * self.signs[: self.d], (0, n - self.d)))
        x = x.at[self.order].get(unique_indices=True, mode="promise_in_bounds")
        return transform(x * self.scales)[: self.flips.shape[-1]] * self.flips

    def project(self, g: jax.Array) -> jax.Array:
        return transpose(self.lift, self.d, g)


@partial(jax.jit, static_argnames="D")
def _draw(key: jax.Array, D: int) -> tuple[jax.Array, ...]:
    n = length_above(D)
    signs_key, order_key, scales_key, flips_key = jax.random.split(key, 4)
    g = jax.random.normal(scales_key, (n,))
    return (
        jax.random.rademacher(signs_key, (n,), jnp.float32),
        jax.random.permutation(order_key, n),
        g * (n / jnp.linalg.norm(g) / D**0.5),
        jax.random.rademacher(flips_key, (D,), jnp.float32),
    )


def fastfood(key: jax.Array, d: int, D: int) -> Fastfood:
    """Draw Fastfood directions: about 16 D bytes, and O(D log D) per product, at any d <= D.

    Columns have norm 1 exactly where D is a power of two, and mean square 1 exactly otherwise, with
    a relative deviation of order 1 / sqrt(D). They are not orthogonal: the cosine of two columns
    has a variance of about 2 / D, twice that of independent Gaussian columns, because they share
    the squares of G. E |A^T g|^2 = d |g|^2 / D for every g. Column i depends on the key and i alone
    (given D), so the subspaces of one key are nested.

    Source: Le, Sarlos and Smola (2013); as a map into weight space Li et al. (2018), supplement S7,
    who pad to a power of two and have no S. Without it T sends a constant g to a single entry of G,
    and |A^T g| is that entry for all columns at once.

    >>> fastfood(jax.random.key(0), 2, 5).lift(jnp.ones(2)).shape
    (5,)
    """
    check_dimension(d, D)
    signs, order, scales, flips = _draw(key, D)
    return Fastfood(signs, order, scales, flips, d)
