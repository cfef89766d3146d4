"""Switch JAX to float64 for one computation, and back.

JAX works in float32 unless told otherwise. The geometry here subtracts numbers of size D to find
answers of size sqrt(D), so it needs float64; the training code does not and must not pay for it.
The switch is therefore local (and thread-local, as JAX's own), never global.

Results leave as NumPy arrays: a float64 JAX array that strays into a float32 program is silently
cut to float32, a NumPy array keeps its precision until somebody decides.
"""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jax


def float64_enabled() -> AbstractContextManager[Any]:
    """Return a context manager inside which JAX creates and keeps float64 arrays.

    Returns:
        A context manager; the previous setting comes back when it exits, also after an error.
    """
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # its home before jax 0.8

    return enable_x64(True)


def in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function so that it computes in float64 and returns NumPy arrays.

    Jitted functions called inside see float64 inputs if they are given NumPy float64 arrays or
    arrays made inside; JAX keeps separate compiled versions for the two precisions. Do not put
    this decorator inside a `jax.jit`: results are copied to the host.

    Args:
        function: any function whose result is a pytree of arrays and plain values.

    Returns:
        The decorated function, same signature; JAX arrays in its result become NumPy arrays.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with float64_enabled():
            return jax.device_get(function(*args, **kwargs))

    return wrapped
