"""How this project's tests and the book's build have XLA compile."""

import os
from importlib.metadata import version


def halve_compilation() -> None:
    """Set the compiler's older emitters for JAX, not yet imported, and processes started from here.

    They take half of the newer ones' time, and training steps give the same bits. Later versions
    than jaxlib 0.10 abort at the option's name.
    """
    if version("jaxlib").startswith("0.10."):
        flags = "--xla_cpu_use_fusion_emitters=false", os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = " ".join(flags)
