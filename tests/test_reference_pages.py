"""What the reference makes of docstrings, and that it lists every function of its modules."""

import importlib
import importlib.util
import re
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parents[1]
PAGES = "".join(page.read_text() for page in sorted((ROOT / "book" / "api").glob("*.md")))


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "_ext" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("|w - w0|^2", r"\|w - w\ :sub:`0`\ \|\ :sup:`2`"),
        ("sum_i lambda_i w0_i", r"Σ\ :sub:`i` λ\ :sub:`i` w\ :sub:`0,i`"),
        ("z_{1-delta} <= 2**63 in R^D", r"z\ :sub:`1-δ` ≤ 2\ :sup:`63` in R\ :sup:`D`"),
        ("(2/3)^-1 d* and d_min", r"(2/3)\ :sup:`-1` d\* and d_min"),
        ('`sum_i`, "<= 1" of eps', '``sum_i``, "<= 1" of ε'),
        ("**options: best_ of all", r"\*\*options: best\_ of all"),
        ("See Fig. 5", "See :doc:`Fig. 5 </book/quadratic_well>`"),
        ("Amelunxen et al. (2014), Definition 2.1", "Amelunxen et al. (2014), Definition 2.1"),
        (">>> 2**3  # sum_i", ">>> 2**3  # sum_i"),
    ],
)
def test_mathematics_and_links(reference, written, shown):
    lines = [written]
    reference.make_safe(None, "", "", None, None, lines)
    assert lines == [shown]


def test_chapters_that_are_linked_exist(reference):
    assert all((ROOT / "book" / f"{name}.md").is_file() for _, name in reference.CHAPTERS)


def test_functions_with_derivatives_of_their_own_are_listed():
    """To autodoc they are objects without words, which it passes over."""
    for name in re.findall(r"automodule:: (\S+)\n   :members:", PAGES):
        for own, thing in vars(importlib.import_module(name)).items():
            if isinstance(thing, jax.custom_jvp | jax.custom_vjp) and own[0] != "_":
                assert f"autofunction:: {thing.__module__}.{own}\n" in PAGES
