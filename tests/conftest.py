"""What all tests share."""

import signal

import pytest


@pytest.fixture(autouse=True, scope="session")
def _interruptible():
    """Answer SIGINT even where the suite was started in the background by a shell.

    Such a shell sets SIGINT to be ignored, processes inherit that, and the tests that interrupt a
    sweep, in this process or in one it starts, would then interrupt nothing.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
