"""Ctrl-C that is not lost: Python drops what is raised in a garbage collection callback."""

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heard_interrupts() -> Iterator[list[int]]:
    """Raise every Ctrl-C, again where Python drops it, as in JAX's garbage collection callback.

    Yields the signals that came, for a caller to look at where other code may have swallowed one.
    Changes nothing outside the main thread, and where SIGINT has a handler of its own.
    """
    caught: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield caught
        return
    usual, main_thread = sys.unraisablehook, threading.get_ident()

    def send():
        if signal.getsignal(signal.SIGINT) is not interrupt:  # it is over: no second one then
            return
        if hasattr(signal, "pthread_kill"):
            signal.pthread_kill(main_thread, signal.SIGINT)
        else:  # Windows
            _thread.interrupt_main()

    def hear(dropped):
        if isinstance(dropped.exc_value, KeyboardInterrupt):
            again = threading.Timer(0.05, send)
            again.daemon = True
            again.start()
        else:
            usual(dropped)

    def interrupt(number, frame):  # not the default handler: a guard within needs do nothing
        caught.append(number)
        raise KeyboardInterrupt

    sys.unraisablehook = hear
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.unraisablehook = usual
