"""Switch JAX to float64 for one computation, and back.

JAX works in float32 unless told otherwise. The geometry here subtracts numbers of size D to find
answers of size sqrt(D), so it needs float64; the training code does not and must not pay for it.
The switch is therefore local (and thread-local, as JAX's own), never global.

Results leave as NumPy arrays: a float64 JAX array that strays into a float32 program is silently
cut to float32, a NumPy array keeps its precision until somebody decides.
"""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax


def float64_enabled() -> AbstractContextManager[Any]:
    """Return a context manager inside which JAX creates and keeps float64 arrays.

    >>> with float64_enabled():
    ...     print(jax.numpy.ones(1).dtype)
    float64
    """
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # type: ignore[attr-defined]  # before jax 0.8

    return enable_x64(True)


def in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function so that it computes in float64 and returns NumPy arrays.

    It may be jitted: JAX keeps separate compiled versions for the two precisions, and NumPy
    arguments enter as float64. Do not put this decorator inside a `jax.jit`: results are copied to
    the host. They are a pytree of arrays and plain values.

    >>> in_float64(jax.numpy.sqrt)(2.0)
    array(1.41421356)
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with float64_enabled():
            return jax.device_get(function(*args, **kwargs))

    return wrapped


def one_blas_thread() -> AbstractContextManager:
    """Return a context manager inside which BLAS and LAPACK use one thread.

    Matrices of a few hundred rows gain nothing from more, and on a machine with other work the
    waiting threads make factorizations up to seven times slower. Block until results are ready
    inside the context. threadpoolctl comes with scikit-learn; without it only time is lost.

    >>> import numpy as np
    >>> with one_blas_thread():
    ...     R = np.linalg.qr(np.eye(2), mode="r")
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(1, user_api="blas")


def with_lapack(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate like `in_float64`, for factorizations: BLAS and LAPACK use one thread.

    >>> import numpy as np
    >>> with_lapack(jax.numpy.linalg.svdvals)(np.diag([2.0, 3.0]))
    array([3., 2.])
    """
    exact = in_float64(function)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with one_blas_thread():
            return exact(*args, **kwargs)

    return wrapped
