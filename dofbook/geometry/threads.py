"""Keep the linear algebra library from spinning."""

from contextlib import AbstractContextManager, nullcontext


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
