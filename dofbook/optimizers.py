"""The two optimizers of the paper, as optax transformations."""

from dataclasses import dataclass
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import optax

from dofbook.errors import InputError

OptimizerName = Literal["adam", "momentum"]
BiasCorrection = Literal["textbook", "constant"]


@dataclass(frozen=True)
class OptimizerConfig:
    """Choose an optimizer and its numbers.

    Args:
        name: "adam" (inside subspaces, paper A.4) or "momentum" (full space, released code).
        learning_rate: Step size; the paper uses 5e-2 inside subspaces.
        b1: Adam's decay of the first moment.
        b2: Adam's decay of the second moment.
        eps: Added to Adam's denominator; 1e-7 in the paper.
        momentum: Coefficient of "momentum"; 0.9 in the released code.
        bias_correction: "textbook" divides Adam's moments by 1 - b**step; "constant" divides by
            1 - b at every step, which is what the paper's released code does.

    Raises:
        InputError: If a value is outside its range.
    """

    name: OptimizerName = "adam"
    learning_rate: float = 5e-2
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-7
    momentum: float = 0.9
    bias_correction: BiasCorrection = "textbook"

    def __post_init__(self):
        for field, allowed in (
            ("name", get_args(OptimizerName)),
            ("bias_correction", get_args(BiasCorrection)),
        ):
            if getattr(self, field) not in allowed:
                raise InputError(
                    f"optimizer {field} is {getattr(self, field)!r}; allowed: {', '.join(allowed)}."
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


def scale_by_constant_adam(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """Rescale updates as the paper's released Adam does.

    Both moments are divided by the constants 1 - b1 and 1 - b2 instead of 1 - b**step. Under a
    constant gradient the update is 1 at the first step, peaks near 2.1, then falls towards
    sqrt(1 - b2) / (1 - b1) = 0.32.

    Args:
        b1: Decay of the first moment.
        b2: Decay of the second moment.
        eps: Added to the denominator.

    Returns:
        The optax transformation.
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


def make_optimizer(config: OptimizerConfig) -> optax.GradientTransformation:
    """Build the optax optimizer a configuration describes.

    Args:
        config: The choice of optimizer.

    Returns:
        The optax transformation.
    """
    if config.name == "momentum":
        return optax.sgd(config.learning_rate, momentum=config.momentum)
    if config.bias_correction == "constant":
        return optax.chain(
            scale_by_constant_adam(config.b1, config.b2, config.eps),
            optax.scale_by_learning_rate(config.learning_rate),
        )
    return optax.adam(config.learning_rate, b1=config.b1, b2=config.b2, eps=config.eps)
