"""What all tests share."""

import os
import signal
import sys
from pathlib import Path

import pytest

# Programs here are compiled more often than run: without the compiler's optimizations the suite
# takes three quarters of the time. Set before JAX is imported, and for processes that tests start.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "book"))  # the claims ledger, `ledger`


@pytest.fixture(scope="session")
def first_digits():
    """Give a function that puts the first images of the digits, so many, on the device."""
    from dofbook.datasets import load
    from dofbook.training import DeviceData, put

    def first(train: int, test: int) -> DeviceData:
        d = load("digits")
        some = (d.x_train[:train], d.y_train[:train], d.x_test[:test], d.y_test[:test])
        return put(DeviceData(*some))

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
