"""The two optimizers of the paper, as optax transformations."""

import jax
import jax.numpy as jnp
import optax

from dofbook.errors import InputError
from dofbook.training.config import OptimizerConfig

RELEASED_CODE_STEPS = {400: 0.3, 800: 0.1 / 0.3, 1200: 0.03 / 0.1}
"""What multiplies the rate at these updates when the paper's code retrains a ticket."""

Optimizer = OptimizerConfig | optax.GradientTransformation


def scale_by_constant_adam(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """Rescale updates as the paper's released Adam does.

    Both moments are divided by the constants 1 - b1 and 1 - b2 instead of 1 - b**step. Under a
    constant gradient the update goes from 1 to a peak near 2.1, then towards 0.32.

    >>> transform, g = scale_by_constant_adam(0.9, 0.999, 1e-7), jnp.ones(1)
    >>> transform.update(g, transform.init(g))[0].round(4)
    Array([1.], dtype=float32)
    """

    def update(updates, state, params=None):
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        nu = optax.tree.update_moment_per_elem_norm(updates, state.nu, b2, 2)
        scaled = jax.tree.map(lambda m, v: (m / (1 - b1)) / (jnp.sqrt(v / (1 - b2)) + eps), mu, nu)
        return scaled, optax.ScaleByAdamState(optax.safe_increment(state.count), mu, nu)

    return optax.GradientTransformation(optax.scale_by_adam().init, update)


def make_optimizer(optimizer: Optimizer) -> optax.GradientTransformation:
    """Build the optax optimizer a configuration describes; a reader's own passes through.

    >>> make_optimizer(OptimizerConfig()).init(jnp.zeros(2))[0].count
    Array(0, dtype=int32)
    """
    if isinstance(optimizer, optax.GradientTransformation):
        return optimizer
    if not isinstance(optimizer, OptimizerConfig):
        wanted = "give an OptimizerConfig or an optax transformation"
        raise InputError(f"optimizer is {optimizer!r}; {wanted}.")
    rate, decays = optimizer.learning_rate, (optimizer.b1, optimizer.b2, optimizer.eps)
    if optimizer.schedule == "released_code":
        # The rate enters the velocity when the gradient does, so that a drop of the rate is felt
        # only as the velocity decays; optax.sgd would rescale the whole velocity at once.
        falling = optax.piecewise_constant_schedule(rate, RELEASED_CODE_STEPS)
        return optax.chain(optax.scale_by_learning_rate(falling), optax.trace(optimizer.momentum))
    if optimizer.name == "momentum":
        return optax.sgd(rate, momentum=optimizer.momentum)
    if optimizer.bias_correction == "constant":
        return optax.chain(scale_by_constant_adam(*decays), optax.scale_by_learning_rate(rate))
    return optax.adam(rate, *decays)
