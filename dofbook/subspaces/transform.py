"""Fast orthonormal transforms of many lengths: Hadamard for 2^k, Hartley times Hadamard for m 2^k.

The Hartley matrix of length m has entries (cos + sin)(2 pi j k / m) / sqrt(m). It is real,
symmetric and its own inverse; that of length 2 is the Hadamard matrix, so the product below is the
Hartley transform of the group Z_m x Z_2^k. Entries are +-1/sqrt(n) for n = 2^k, and at most
sqrt(2 / n) otherwise. With m <= 32 some such length lies within 1/16 of any number, which powers of
two alone do not offer.
"""

from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

_ODD = 32
_BITS = 5


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

    A few small matrix products, which a CPU does faster than log2(n) butterflies or an FFT. The
    length is one that ``length_below`` or ``length_above`` gives.

    >>> transform(jnp.array([1.0, 0.0])).round(4)
    Array([0.7071, 0.7071], dtype=float32)
    """
    n = x.shape[0]
    for matrix in factors(n):
        matrix = jnp.asarray(matrix, x.dtype)
        # Transposing brings the next factor's index to the front; after all, the order is the old.
        # Full precision: a GPU would otherwise round to TensorFloat-32 and lose orthogonality.
        x = jnp.matmul(matrix, x.reshape(matrix.shape[0], -1), precision="highest").T.reshape(-1)
    return x
