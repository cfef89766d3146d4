"""The two optimizers of the paper, as optax transformations."""

from dataclasses import dataclass
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import optax

from dofbook.errors import InputError

OptimizerName = Literal["adam", "momentum"]
BiasCorrection = Literal["textbook", "constant"]
Schedule = Literal["released_code"]

RELEASED_CODE_STEPS = {400: 0.3, 800: 0.1, 1200: 0.03}
"""Factors of the learning rate from these updates on, when the paper's code retrains a ticket."""


@dataclass(frozen=True)
class OptimizerConfig:
    """Choose an optimizer and its numbers.

    Args:
        name: "adam" (inside subspaces, paper A.4) or "momentum" (full space, released code).
        learning_rate: 5e-2 in the paper, inside subspaces.
        b1: Adam's decay of the first moment, in [0, 1).
        b2: Adam's decay of the second moment, in [0, 1).
        eps: Added to Adam's denominator; 1e-7 in the paper.
        momentum: Coefficient of "momentum", in [0, 1); 0.9 in the released code.
        bias_correction: "textbook" divides Adam's moments by 1 - b**step; "constant" divides by
            1 - b at every step, which is what the paper's released code does.
        schedule: None for a constant learning rate; "released_code" multiplies that of "momentum"
            by 0.3, 0.1 and 0.03 from updates 400, 800 and 1200 on, as the paper's code does when
            it retrains a lottery ticket. None is left out where a configuration is hashed.

    Raises:
        InputError: If a value is outside its range.

    >>> OptimizerConfig("momentum", learning_rate=1).learning_rate
    1.0
    """

    name: OptimizerName = "adam"
    learning_rate: float = 5e-2
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-7
    momentum: float = 0.9
    bias_correction: BiasCorrection = "textbook"
    schedule: Schedule | None = None

    def __post_init__(self):
        for field, allowed in (
            ("name", get_args(OptimizerName)),
            ("bias_correction", get_args(BiasCorrection)),
        ):
            if getattr(self, field) not in allowed:
                raise InputError(
                    f"optimizer {field} is {getattr(self, field)!r}; allowed: {', '.join(allowed)}."
                )
        if self.schedule is not None and (
            self.schedule not in get_args(Schedule) or self.name != "momentum"
        ):
            raise InputError(
                f"optimizer schedule is {self.schedule!r} with {self.name!r}; allowed: None, or "
                "'released_code' with 'momentum'."
            )
        for field in ("learning_rate", "b1", "b2", "eps", "momentum"):
            # 1 and 1.0 are one configuration and must hash alike.
            object.__setattr__(self, field, float(getattr(self, field)))
        if not 0 < self.learning_rate < float("inf"):
            raise InputError(
                f"learning_rate is {self.learning_rate}; it must be positive and finite."
            )
        for field in ("b1", "b2", "momentum"):
            if not 0 <= getattr(self, field) < 1:
                raise InputError(f"{field} is {getattr(self, field)}; it must lie in [0, 1).")
        if not 0 < self.eps < float("inf"):
            raise InputError(f"eps is {self.eps}; it must be positive and finite.")


MOMENTUM = OptimizerConfig(name="momentum", learning_rate=5e-2)
"""Full-space training of the released code, which the paper's text leaves open."""

Optimizer = OptimizerConfig | optax.GradientTransformation


def scale_by_constant_adam(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """Rescale updates as the paper's released Adam does.

    Both moments are divided by the constants 1 - b1 and 1 - b2 instead of 1 - b**step. Under a
    constant gradient the update is 1 at the first step, peaks near 2.1, then falls towards
    sqrt(1 - b2) / (1 - b1) = 0.32.

    >>> transform, g = scale_by_constant_adam(0.9, 0.999, 1e-7), jnp.ones(1)
    >>> transform.update(g, transform.init(g))[0].round(4)
    Array([1.], dtype=float32)
    """

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return optax.ScaleByAdamState(count=jnp.zeros([], jnp.int32), mu=zeros, nu=zeros)

    def update(updates, state, params=None):
        del params
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        nu = optax.tree.update_moment_per_elem_norm(updates, state.nu, b2, 2)
        scaled = jax.tree.map(lambda m, v: (m / (1 - b1)) / (jnp.sqrt(v / (1 - b2)) + eps), mu, nu)
        return scaled, optax.ScaleByAdamState(optax.safe_increment(state.count), mu, nu)

    return optax.GradientTransformation(init, update)


def _ratios(factors: dict[int, float]) -> dict[int, float]:
    """Turn factors of the first value into factors of the value before, as optax wants them."""
    before = [1.0, *factors.values()]
    return {step: f / b for (step, f), b in zip(factors.items(), before, strict=False)}


def make_optimizer(optimizer: Optimizer) -> optax.GradientTransformation:
    """Build the optax optimizer a configuration describes; a reader's own passes through.

    >>> make_optimizer(OptimizerConfig()).init(jnp.zeros(2))[0].count
    Array(0, dtype=int32)
    """
    if isinstance(optimizer, optax.GradientTransformation):
        return optimizer
    if not isinstance(optimizer, OptimizerConfig):
        raise InputError(
            f"optimizer is {optimizer!r}; give an OptimizerConfig or an optax transformation."
        )
    config = optimizer
    if config.schedule == "released_code":
        # The rate enters the velocity when the gradient does, so that a drop of the rate is felt
        # only as the velocity decays; optax.sgd would rescale the whole velocity at once.
        rate = optax.piecewise_constant_schedule(config.learning_rate, _ratios(RELEASED_CODE_STEPS))
        return optax.chain(optax.scale_by_learning_rate(rate), optax.trace(decay=config.momentum))
    if config.name == "momentum":
        return optax.sgd(config.learning_rate, momentum=config.momentum)
    if config.bias_correction == "constant":
        return optax.chain(
            scale_by_constant_adam(config.b1, config.b2, config.eps),
            optax.scale_by_learning_rate(config.learning_rate),
        )
    return optax.adam(config.learning_rate, b1=config.b1, b2=config.b2, eps=config.eps)
