"""Directions by fast transforms: O(D) memory and O(D log D) time at any d.

Column i depends on the key, D and i alone: a key's subspaces are nested. E|A^T g|^2 = d |g|^2 / D.

The transforms are Hadamard for lengths 2^k, and Hartley times Hadamard for m 2^k: that of the group
Z_m x Z_2^k. The Hartley matrix of length m, real, symmetric and its own inverse, has entries
(cos + sin)(2 pi j k / m) / sqrt(m). Entries are +-1/sqrt(n) for n = 2^k, and at most sqrt(2 / n)
otherwise. With m <= 32 some such length lies within 1/16 of any number.
"""

from dataclasses import dataclass, field
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np

from dofbook import checks
from dofbook.subspaces.affine import Directions, check_dimension

_BITS = 5
_ROUNDS = 2


def length_below(D: int) -> int:
    """Find the largest m 2^k <= D with m < 32, a fast transform's length of more than 15/16 D.

    >>> length_below(1000)
    992
    """
    shift = max(D.bit_length() - _BITS, 0)
    return D >> shift << shift


def length_above(D: int) -> int:
    """Find the smallest m 2^k >= D with m <= 32, a fast transform's length of less than 17/16 D.

    >>> length_above(1000)
    1024
    """
    shift = max((D - 1).bit_length() - _BITS, 0)
    return -(-D >> shift) << shift


def _hartley(m: int) -> np.ndarray:
    angle = 2 * np.pi / m * (np.outer(np.arange(m), np.arange(m)) % m)
    return (np.cos(angle) + np.sin(angle)) / np.sqrt(m)


def factors(n: int) -> list[np.ndarray]:
    """Factor the transform of length n = m 2^k into small symmetric orthogonal matrices.

    Their Kronecker product is the transform; they have at most 32 rows, in float64.

    >>> [len(matrix) for matrix in factors(96)]
    [3, 32]
    """
    bits = (n & -n).bit_length() - 1
    odd = n >> bits
    pieces = -(-bits // _BITS)
    sizes = [bits // pieces + (i < bits % pieces) for i in range(pieces)]
    matrices = [_hartley(odd)] if odd > 1 else []
    return matrices + [reduce(np.kron, [_hartley(2)] * size, np.ones((1, 1))) for size in sizes]


def transform(x: jax.Array) -> jax.Array:
    """Apply the orthonormal transform of a vector's length: linear, symmetric, its own inverse.

    The length is one that ``length_below`` or ``length_above`` gives. A few small matrix products
    are faster on a CPU than log2(n) butterflies or an FFT.

    >>> transform(jnp.array([1.0, 0.0])).round(4)
    Array([0.7071, 0.7071], dtype=float32)
    """
    for matrix in factors(len(x)):
        matrix = jnp.asarray(matrix, x.dtype)
        # Transposing brings the next factor's index to the front; after all, the order is the old.
        # Full precision: a GPU would otherwise round to TensorFloat-32 and lose orthogonality.
        x = jnp.matmul(matrix, x.reshape(len(matrix), -1), precision="highest").T.reshape(-1)
    return x


class _ByTransform:
    """Directions whose program is that of A theta alone: JAX transposes it."""

    def project(self: Directions, g: jax.Array) -> jax.Array:
        return jax.linear_transpose(self.lift, jax.ShapeDtypeStruct((self.d,), g.dtype))(g)[0]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Fastfood(_ByTransform):
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


@partial(jax.jit, static_argnames="D")
def _draw_fastfood(key: jax.Array, D: int) -> tuple[jax.Array, ...]:
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
    """Draw Fastfood directions, nearly Gaussian columns: about 16 D bytes, at any d <= D.

    Columns have norm 1 exactly where D is a power of two, else mean square 1 exactly, with a
    relative deviation of order 1 / sqrt(D). The cosine of two columns has a variance of about 2 /
    D, twice that of independent Gaussian columns, because they share the squares of G. Source: Le,
    Sarlos and Smola (2013); as a map into weight space Li et al. (2018), supplement S7, who pad to
    a power of two and have no S: there T sends a constant g to a single entry of G.

    >>> fastfood(jax.random.key(0), 2, 5).lift(jnp.ones(2)).shape
    (5,)
    """
    d = check_dimension(d, D)
    return Fastfood(*_draw_fastfood(checks.key(key), D), d=d)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Hadamard(_ByTransform):
    """Hold the first d columns of Q = P2 S2 T P1 S1 T, an orthogonal matrix of R^D.

    T transforms the leading ``length_below(D)`` coordinates and leaves the others; S are random
    signs (``signs``, (2, D)), P random permutations (``orders``, (2, D): entry k goes where it
    holds k). Every factor is orthogonal for any D, so A is an isometry up to rounding.

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


@partial(jax.jit, static_argnames="D")
def _draw_hadamard(key: jax.Array, D: int) -> tuple[jax.Array, jax.Array]:
    signs_key, orders_key = jax.random.split(key)
    signs = jax.random.rademacher(signs_key, (_ROUNDS, D), jnp.float32)
    shuffle = partial(jax.random.permutation, x=D)
    return signs, jax.vmap(shuffle)(jax.random.split(orders_key, _ROUNDS))


def hadamard(key: jax.Array, d: int, D: int) -> Hadamard:
    """Draw d <= D orthonormal directions by a subsampled randomised Hadamard transform.

    They take 16 D bytes. The last step is a uniform permutation, so E |A^T g|^2 is exact. The span
    is not uniform on the Grassmannian, only close to it: two rounds of signs spread any g. Source:
    Ailon and Chazelle (2009), Tropp (2011), with a second round in place of random rows.

    >>> A = hadamard(jax.random.key(0), 2, 6)
    >>> A.project(A.lift(jnp.array([1.0, 2.0]))).round(5)
    Array([1., 2.], dtype=float32)
    """
    d = check_dimension(d, D)
    return Hadamard(*_draw_hadamard(checks.key(key), D), d=d)
