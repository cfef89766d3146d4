"""What is minimised and what is measured: one number per example, from outputs and targets.

A metric whose name ends in "loss" or "error" counts down; every other counts up.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dofbook.errors import InputError
from dofbook.references import is_reference, resolve

PerExample = Callable[[jax.Array, jax.Array], jax.Array]


@dataclass(frozen=True)
class Objective:
    """Hold a loss and metrics, functions of the outputs and targets of a batch.

    Attributes:
        name: What configurations and tables call it.
        loss: Maps outputs (N, ...) and targets (N, ...) to the losses of the examples, (N,).
        metrics: Pairs of a name and a function like ``loss``.
    """

    name: str
    loss: PerExample
    metrics: tuple[tuple[str, PerExample], ...] = ()
    _fits: Callable[[tuple[int, ...], np.ndarray, str], None] | None = field(
        default=None, repr=False
    )

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Name the columns: train_loss, train_<metric>..., test_loss, test_<metric>..."""
        names = ("loss", *(name for name, _ in self.metrics))
        return tuple(f"{split}_{name}" for split in ("train", "test") for name in names)

    def check(self, outputs_shape: tuple[int, ...], data: Any) -> None:
        """Raise InputError unless outputs (N, ...) of a network fit the targets of the data.

        Args:
            outputs_shape: Shape of the outputs of N examples.
            data: A ``Dataset``, or anything with its four arrays.
        """


def _cross_entropy(outputs, targets):
    return optax.softmax_cross_entropy_with_integer_labels(outputs, targets)


def _hit(outputs, targets):
    return (outputs.argmax(-1) == targets).astype(jnp.float32)


def _over_the_rest(values):
    return values.reshape(values.shape[0], -1).mean(axis=1)


classification = Objective("classification", _cross_entropy, (("accuracy", _hit),))
regression = Objective(
    "regression",
    lambda outputs, targets: _over_the_rest((outputs.reshape(targets.shape) - targets) ** 2),
    (
        (
            "absolute_error",
            lambda outputs, targets: _over_the_rest(abs(outputs.reshape(targets.shape) - targets)),
        ),
    ),
)
next_token = Objective(
    "next_token",
    lambda outputs, targets: _over_the_rest(_cross_entropy(outputs, targets)),
    (("accuracy", lambda outputs, targets: _over_the_rest(_hit(outputs, targets))),),
)
_KNOWN = {found.name: found for found in (classification, regression, next_token)}
NAMES = tuple(_KNOWN)


def objective(name: str | Objective) -> Objective:
    """Find an objective by name, or by "module:function" of no arguments."""
    if isinstance(name, Objective):
        return name
    if is_reference(name):
        return resolve(name)()
    if name not in _KNOWN:
        raise InputError(
            f"objective is {name!r}; allowed: {', '.join(NAMES)}, or module:function."
        )
    return _KNOWN[name]
