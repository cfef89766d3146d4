"""What is minimised and what is measured: one number per example, from outputs and targets.

A metric whose name ends in "loss" or "error" counts down; every other counts up.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dofbook import checks
from dofbook.errors import InputError
from dofbook.references import call, check_name, own_code
from dofbook.training.config import OBJECTIVES

PerExample = Callable[[jax.Array, jax.Array], jax.Array]


@dataclass(frozen=True)
class Objective:
    """Hold a loss and metrics, which map outputs (N, ...) and targets (N, ...) to numbers (N,).

    ``metrics`` are pairs of a name and a function, or a mapping; tables use the names.

    >>> hinge = Objective("hinge", lambda out, y: jnp.maximum(0, 1 - y * out[:, 0]))
    >>> hinge.metric_names
    ('train_loss', 'test_loss')
    """

    name: str
    loss: PerExample = field(repr=False)
    metrics: tuple[tuple[str, PerExample], ...] = field(default=(), repr=False)
    _fits: Callable[..., str | None] | None = field(default=None, repr=False)

    def __post_init__(self):
        if not isinstance(self.name, str) or not self.name.isprintable() or not self.name:
            raise InputError(f"name is {self.name!r:.80}; it must be printable text.")
        given = self.metrics.items() if isinstance(self.metrics, Mapping) else self.metrics
        try:
            object.__setattr__(self, "metrics", tuple((name, function) for name, function in given))
        except (TypeError, ValueError):
            wanted = "pairs of a name and a function, or a mapping"
            raise InputError(f"metrics is {given!r:.80}; give {wanted}.") from None
        for name, function in self.functions:
            if not (isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]*", name)):
                raise InputError(f"a metric is called {name!r}; use small letters, digits and _.")
            checks.function(f"{name} of {self.name}", function)
        names = [name for name, _ in self.functions]
        if len(set(names)) < len(names):
            raise InputError(f"the metrics are {', '.join(names)}; each name is used once.")

    @property
    def functions(self) -> tuple[tuple[str, PerExample], ...]:
        """The loss and the metrics, each with its name."""
        return (("loss", self.loss), *self.metrics)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Name the columns: train_loss, train_<metric>..., test_loss, test_<metric>..."""
        return tuple(f"{part}_{name}" for part in ("train", "test") for name, _ in self.functions)

    def check(self, outputs_shape: tuple[int, ...], data: Any) -> None:
        """Make sure, by abstract evaluation, that outputs (N, ...) and the data's targets fit.

        Raises InputError if shapes, or the kind and range of the targets, do not, or a function
        raises or does not give one number per example. ``data`` has the arrays of a ``Dataset``.
        """
        for part, targets in (("y_train", data.y_train), ("y_test", data.y_test)):
            if fault := self._fits and self._fits(tuple(outputs_shape[1:]), part, targets):
                raise InputError(f"{fault}.")
        outputs = jax.ShapeDtypeStruct((2, *outputs_shape[1:]), jnp.float32)
        some = jax.ShapeDtypeStruct((2, *targets.shape[1:]), targets.dtype)
        for name, function in self.functions:
            what = f"{name} of {self.name}"
            with own_code(what):
                found = jax.eval_shape(function, outputs, some)
            if (shape := getattr(found, "shape", type(found).__name__)) != (2,):
                wanted = "it must give one number for each, (2,)"
                raise InputError(f"{what} gives {shape} for 2 examples; {wanted}.")


_cross_entropy = optax.softmax_cross_entropy_with_integer_labels


def _hit(outputs, targets):
    return (outputs.argmax(-1) == targets).astype(jnp.float32)


def _mean(values):
    return values.reshape(values.shape[0], -1).mean(axis=1)


def _difference(outputs, targets):
    return outputs.reshape(targets.shape) - targets


def _labels_fit(what, outputs, part, targets) -> str | None:
    shape = () if what == "classification" else targets.shape[1:2] or (1,)
    if targets.dtype.kind not in "iu":
        advice = "convert them with astype(int), or choose the objective regression"
        return f"{part} is {targets.dtype}; {what} takes integer labels: {advice}"
    if len(outputs) != len(shape) + 1 or outputs[:-1] != shape or targets.shape[1:] != shape:
        given = f"network gives (N{_axes(outputs)}) and {part} is (N{_axes(targets.shape[1:])})"
        wanted = f"outputs (N{_axes(shape)}, logits) and labels (N{_axes(shape)})"
        return f"{what} takes {wanted}; the {given}"
    low, high, most = int(targets.min()), int(targets.max()), outputs[-1] - 1
    if low < 0 or high > most:
        allowed = f"the network's {most + 1} logits allow 0 to {most}"
        return f"{part} has labels {low} to {high}; {allowed}"
    return None


def _axes(shape) -> str:
    return "".join(f", {length}" for length in shape)


def _values_fit(outputs, part, targets) -> str | None:
    wanted = targets.shape[1:]
    if outputs == wanted or (outputs == (1,) and wanted == ()):
        return None
    given = f"the network gives (N{_axes(outputs)}) and {part} is (N{_axes(wanted)})"
    return f"regression takes outputs of the shape of the targets; {given}"


classification = Objective(
    "classification", _cross_entropy, (("accuracy", _hit),), partial(_labels_fit, "classification")
)
"""Cross-entropy and accuracy: outputs (N, classes), integer labels (N,)."""

regression = Objective(
    "regression",
    lambda outputs, targets: _mean(_difference(outputs, targets) ** 2),
    (("absolute_error", lambda outputs, targets: _mean(abs(_difference(outputs, targets)))),),
    _values_fit,
)
"""Squared and absolute error, each the mean over an example's targets: both (N, ...), or outputs
(N, 1) for targets (N,)."""

next_token = Objective(
    "next_token",
    lambda outputs, targets: _mean(_cross_entropy(outputs, targets)),
    (("accuracy", lambda outputs, targets: _mean(_hit(outputs, targets))),),
    partial(_labels_fit, "next_token"),
)
"""Cross-entropy and accuracy, each the mean over positions: outputs (N, positions, vocabulary),
tokens (N, positions)."""

_KNOWN: dict[str, Objective] = {name: globals()[name] for name in OBJECTIVES}


def objective(name: str) -> Objective:
    """Find an objective by name, or as "module:function", a function of nothing that returns it.

    >>> objective("regression").metric_names
    ('train_loss', 'train_absolute_error', 'test_loss', 'test_absolute_error')
    """
    if isinstance(name, str) and name in _KNOWN:
        return _KNOWN[name]
    check_name("objective", name, OBJECTIVES)
    found = call(name)
    if not isinstance(found, Objective):
        raise InputError(f"{name} gave {type(found).__name__}; it must give an Objective.")
    return found
