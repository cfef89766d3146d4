"""Random directions that are exactly orthonormal, by a randomised Hadamard transform."""

from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp

from dofbook.subspaces.affine import check_dimension, transpose
from dofbook.subspaces.transform import length_below, transform

_ROUNDS = 2


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Hadamard:
    """Hold the first d columns of Q = P2 S2 T P1 S1 T, an orthogonal matrix of R^D.

    T transforms the leading coordinates, as many as a fast transform has a length for (more than
    15/16 of D, all of them for a power of two), and leaves the others; S are random signs
    (``signs``, (2, D)), P random permutations (``orders``, (2, D): entry k goes where it holds k).
    Every factor is orthogonal for any D: nothing is padded or cut off, so the columns are
    orthonormal up to rounding, and A is an isometry.

    >>> same = jnp.tile(jnp.arange(4), (2, 1))
    >>> Hadamard(jnp.ones((2, 4)), same, d=2).lift(jnp.array([1.0, 2.0]))  # T T = I
    Array([1., 2., 0., 0.], dtype=float32)
    """

    signs: jax.Array
    orders: jax.Array
    d: int = field(metadata={"static": True})

    def lift(self, theta: jax.Array) -> jax.Array:
        D = self.signs.shape[-1]
        n = length_below(D)
        x = jnp.pad(theta, (0, D - self.d))
        for signs, order in zip(self.signs, self.orders, strict=True):
            x = jnp.concatenate([transform(x[:n]), x[n:]]) * signs
            x = x.at[order].get(unique_indices=True, mode="promise_in_bounds")
        return x

    def project(self, g: jax.Array) -> jax.Array:
        return transpose(self.lift, self.d, g)


@partial(jax.jit, static_argnames="D")
def _draw(key: jax.Array, D: int) -> tuple[jax.Array, jax.Array]:
    signs_key, orders_key = jax.random.split(key)
    signs = jax.random.rademacher(signs_key, (_ROUNDS, D), jnp.float32)
    shuffle = partial(jax.random.permutation, x=D)
    return signs, jax.vmap(shuffle)(jax.random.split(orders_key, _ROUNDS))


def hadamard(key: jax.Array, d: int, D: int) -> Hadamard:
    """Draw d <= D orthonormal directions by a subsampled randomised Hadamard transform.

    They take 16 D bytes, and each product O(D log D) time, at any d. Because the last step is a
    uniform permutation, E |A^T g|^2 = d |g|^2 / D exactly, for every g. The span is not uniform on
    the Grassmannian, only close to it: two rounds of signs spread any g. Column i depends on the
    key and i alone (given D), so the subspaces of one key are nested.

    Source: Ailon and Chazelle (2009), Tropp (2011), with a second round in place of random rows.

    >>> A = hadamard(jax.random.key(0), 2, 6)
    >>> A.project(A.lift(jnp.array([1.0, 2.0]))).round(5)
    Array([1., 2.], dtype=float32)
    """
    check_dimension(d, D)
    signs, orders = _draw(key, D)
    return Hadamard(signs, orders, d)
