"""How this project's tests and the book's build have XLA compile."""

import os
from importlib.metadata import version


def halve_compilation() -> None:
    """Set the compiler's older emitters for JAX, not yet imported, and processes started from here.

    They take half of the newer ones' time, and training steps give the same bits. Of what is left
    a tenth is spent on splitting small programs, to compile the parts side by side. Later versions
    than jaxlib 0.10 abort at the name of an option they do not have.
    """
    if version("jaxlib").startswith("0.10."):
        flags = "--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"
        os.environ["XLA_FLAGS"] = " ".join((*flags, os.environ.get("XLA_FLAGS", "")))
