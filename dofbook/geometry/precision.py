"""Switch JAX to float64 for one computation, and back.

The geometry subtracts numbers of size D to find answers of size sqrt(D), so it needs float64; the
training code must not pay for it. Results leave as NumPy arrays: JAX would cut them to float32.
"""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax


def float64_enabled() -> AbstractContextManager[Any]:
    """Return a context manager, local to the thread, in which JAX creates and keeps float64 arrays.

    >>> with float64_enabled():
    ...     print(jax.numpy.ones(1).dtype)
    float64
    """
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # type: ignore[attr-defined]  # before jax 0.8

    return enable_x64(True)


def in_float64(
    function: Callable[..., Any], around: Callable[[], AbstractContextManager] = nullcontext
) -> Callable[..., Any]:
    """Decorate a function so that it computes in float64 and returns NumPy arrays.

    It may be jitted, but not be called inside a `jax.jit`: its results, a pytree, go to the host.

    >>> in_float64(jax.numpy.sqrt)(2.0)
    array(1.41421356)
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with around(), float64_enabled():
            return jax.device_get(function(*args, **kwargs))

    return wrapped


def one_blas_thread() -> AbstractContextManager:
    """Return a context manager inside which BLAS and LAPACK use one thread.

    More make factorizations of a few hundred rows slower. Block until results are ready inside it.

    >>> import numpy as np
    >>> with one_blas_thread():
    ...     np.linalg.cholesky([[4.0]])
    array([[2.]])
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")


with_lapack = functools.partial(in_float64, around=one_blas_thread)
"""Decorate like `in_float64`, for factorizations: BLAS and LAPACK use one thread."""
