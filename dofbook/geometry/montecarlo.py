"""Averages over Gaussian vectors, in bounded memory.

Sample i is drawn from `fold_in(key, i)`, whatever the chunks and the number of samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from dofbook import checks
from dofbook.errors import InputError
from dofbook.geometry.precision import float64_enabled, in_float64

CHUNK_NUMBERS = 2**22  # Gaussian numbers held at once: 32 MiB of float64
CHUNK_ROWS = 1024  # and never more vectors than this, whatever their length


@dataclass(frozen=True)
class Estimate:
    """Hold a Monte Carlo mean over independent samples, with its standard error.

    >>> print(Estimate(2.5, 0.125, 40))
    2.5 ± 0.12
    """

    value: float
    standard_error: float
    samples: int

    def __str__(self) -> str:
        return f"{self.value:.6g} ± {self.standard_error:.2g}"


def mean_of(values: np.ndarray) -> Estimate:
    """Average two or more independent samples, shape (samples,).

    >>> mean_of([1.0, 3.0])
    Estimate(value=2.0, standard_error=1.0, samples=2)
    """
    values = checks.finite("values", values, ("samples",))
    n = checks.integer("the number of samples", len(values), 2)
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(n)), n)


def as_partial(name: str, function: Callable) -> Partial:
    """Wrap a function as a `Partial`, which carries its arrays without recompiling.

    >>> as_partial("the statistic", abs)(-2)
    2
    """
    checks.function(name, function)
    return function if isinstance(function, Partial) else Partial(function)


def gaussian_statistics(
    statistic: Callable[[jax.Array], jax.Array], dimension: int, *, key: jax.Array, samples: int
) -> np.ndarray:
    """Evaluate a statistic on independent standard Gaussian vectors of R^dimension, in float64.

    `statistic` maps a batch (n, dimension) to values (n, ...); a `jax.tree_util.Partial` carries
    arrays without compiling again when they change. `samples` is at least 2. The
    result has shape (samples, ...).

    >>> gaussian_statistics(lambda g: g.sum(axis=1), 3, key=jax.random.key(0), samples=5).shape
    (5,)
    """
    dimension = checks.integer("dimension", dimension, 1)
    samples = checks.integer("samples", samples, 2)
    rows = min(samples, CHUNK_ROWS, max(1, CHUNK_NUMBERS // dimension))
    statistic = as_partial("the statistic", statistic)
    _check_statistic(statistic, rows, dimension)
    checks.key(key)
    starts = range(0, samples, rows)
    parts = [_draw_and_apply(statistic, key, i, dimension, rows)[: samples - i] for i in starts]
    return np.concatenate(parts)


def _check_statistic(statistic: Partial, rows: int, dimension: int) -> None:
    try:
        with float64_enabled():
            g = jax.ShapeDtypeStruct((rows, dimension), jnp.float64)
            shape = jax.eval_shape(statistic, g).shape
    except (TypeError, ValueError, AttributeError) as error:
        wanted, reason = f"JAX arrays of shape (n, {dimension})", str(error).partition("\n")[0]
        raise InputError(f"the function given does not take {wanted}: {reason}") from error
    if shape[:1] != (rows,):
        raise InputError(f"the function given maps {rows} vectors to {shape}, not ({rows}, ...).")


@in_float64
@partial(jax.jit, static_argnames=("dimension", "rows"))
def _draw_and_apply(
    statistic: Partial, key: jax.Array, start: jax.Array, dimension: int, rows: int
) -> jax.Array:
    def draw(i):
        return jax.random.normal(jax.random.fold_in(key, i), (dimension,), jnp.float64)

    return statistic(jax.vmap(draw)(start + jnp.arange(rows)))
