"""What all tests share."""

import gc
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("dofbook", deadline=None)  # how long an example takes is no fault
settings.load_profile("dofbook")

# Programs here are compiled more often than run: without the compiler's optimizations the suite
# takes three quarters of the time. Set before JAX is imported, and for processes that tests start.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# No program carries the lines of Python it comes from: nothing here reads them.
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")
# Two workers share two cores: threads of linear algebra would spend half of the time waiting. The
# workers have this before they import NumPy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("book", "scripts", "tests")]  # ledger, printers
from compiling import halve_compilation  # noqa: E402

halve_compilation()


def pytest_collection_finish():
    """Let the garbage collector pass over modules and tests, which stay until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def first_digits():
    """Give a function that keeps the first images of the digits, so many."""
    from dataclasses import replace

    from dofbook.datasets import Dataset, load

    def first(train: int, test: int) -> Dataset:
        d = load("digits")
        return replace(
            d, x_train=d.x_train[:train], y_train=d.y_train[:train],
            x_test=d.x_test[:test], y_test=d.y_test[:test],
        )  # fmt: skip

    return first


@pytest.fixture(autouse=True, scope="session")
def _interruptible():
    """Answer SIGINT even where the suite was started in the background by a shell.

    Such a shell sets SIGINT to be ignored, processes inherit that, and the tests that interrupt a
    sweep, in this process or in one it starts, would then interrupt nothing.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
