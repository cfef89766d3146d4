"""Averages over Gaussian vectors, in bounded memory.

Sample i is drawn from `fold_in(key, i)`, so a result does not depend on how the samples are cut
into chunks, and the first n samples of a longer run are the samples of the shorter one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from dofbook.errors import InputError
from dofbook.geometry.precision import in_float64

CHUNK_NUMBERS = 2**22  # Gaussian numbers held at once: 32 MiB of float64
CHUNK_ROWS = 1024  # and never more vectors than this, whatever their length


@dataclass(frozen=True)
class Estimate:
    """A Monte Carlo mean.

    Attributes:
        value: the estimate.
        standard_error: its standard error.
        samples: how many independent samples it averages.
    """

    value: float
    standard_error: float
    samples: int

    def __str__(self) -> str:
        """Return value and standard error as text."""
        return f"{self.value:.6g} ± {self.standard_error:.2g}"


def mean_of(values: np.ndarray) -> Estimate:
    """Average independent samples.

    Args:
        values: shape (samples,), at least two.

    Returns:
        Their mean with its standard error.
    """
    n = len(values)
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(n)), n)


def gaussian_statistics(
    statistic: Callable[[jax.Array], jax.Array],
    dimension: int,
    *,
    key: jax.Array,
    samples: int,
    chunk: int | None = None,
) -> np.ndarray:
    """Evaluate a statistic on independent standard Gaussian vectors, in float64.

    Args:
        statistic: maps a batch (n, dimension) of vectors to (n, ...) values. Pass a
            `jax.tree_util.Partial` to carry arrays without compiling again when they change.
        dimension: length D of the vectors.
        key: a `jax.random.key`.
        samples: number of vectors, at least 2.
        chunk: vectors held at once; default bounds memory by `CHUNK_NUMBERS`.

    Returns:
        Array (samples, ...), one entry a vector.

    Raises:
        InputError: if dimension or chunk is below 1, or samples below 2.
    """
    if dimension < 1 or samples < 2 or (chunk is not None and chunk < 1):
        raise InputError(
            f"dimension={dimension}, samples={samples}, chunk={chunk} given; "
            "dimension and chunk must be at least 1 and samples at least 2."
        )
    rows = min(samples, chunk or max(1, min(CHUNK_ROWS, CHUNK_NUMBERS // dimension)))
    statistic = statistic if isinstance(statistic, Partial) else Partial(statistic)
    blocks = [
        _block(statistic, key, start, dimension, rows)[: samples - start]
        for start in range(0, samples, rows)
    ]
    return np.concatenate(blocks)


@in_float64
def _block(statistic: Partial, key: jax.Array, start: int, dimension: int, rows: int) -> np.ndarray:
    return _draw_and_apply(statistic, key, start, dimension, rows)


@partial(jax.jit, static_argnames=("dimension", "rows"))
def _draw_and_apply(
    statistic: Partial, key: jax.Array, start: jax.Array, dimension: int, rows: int
) -> jax.Array:
    keys = jax.vmap(partial(jax.random.fold_in, key))(start + jnp.arange(rows))
    g = jax.vmap(lambda k: jax.random.normal(k, (dimension,), jnp.float64))(keys)
    return statistic(g)
