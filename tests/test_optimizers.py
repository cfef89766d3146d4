"""Optimizers against plain NumPy loops."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dofbook.errors import InputError
from dofbook.training.optimizers import OptimizerConfig, make_optimizer


def _run(config, gradients):
    transform, x = make_optimizer(config), jnp.zeros(gradients.shape[1])
    state, path = transform.init(x), []
    for gradient in gradients:
        updates, state = transform.update(jnp.asarray(gradient), state, x)
        x = optax.apply_updates(x, updates)
        path.append(np.asarray(x))
    return np.stack(path)


def _adam_by_hand(gradients, lr, b1, b2, eps, constant):
    x, m, v, path = np.zeros(gradients.shape[1]), 0.0, 0.0, []
    for i, g in enumerate(gradients, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        power = 1 if constant else i
        x = x - lr * (m / (1 - b1**power)) / (np.sqrt(v / (1 - b2**power)) + eps)
        path.append(x)
    return np.stack(path)


@pytest.mark.parametrize("correction", ["textbook", "constant"])
def test_adam_equals_a_plain_loop(correction):
    gradients = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    config = OptimizerConfig(bias_correction=correction)
    wanted = _adam_by_hand(gradients, 5e-2, 0.9, 0.999, 1e-7, correction == "constant")
    np.testing.assert_allclose(_run(config, gradients), wanted, rtol=2e-4, atol=1e-5)


def test_constant_bias_correction_overshoots_then_decays_under_a_constant_gradient():
    path = _run(OptimizerConfig(learning_rate=1.0, bias_correction="constant"), np.ones((3000, 1)))
    steps = -np.diff(path[:, 0], prepend=0.0)
    # Step i is (1 - b1^i) / (1 - b1) / sqrt((1 - b2^i) / (1 - b2)).
    i = np.arange(1, 3001)
    wanted = (1 - 0.9**i) / 0.1 / np.sqrt((1 - 0.999**i) / 0.001)
    np.testing.assert_allclose(steps, wanted, rtol=1e-3, atol=1e-3)
    assert steps.argmax() == wanted.argmax()
    assert steps[-1] == pytest.approx(10 * 0.001**0.5, rel=0.03)


def test_momentum_equals_a_plain_loop():
    gradients = np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)
    velocity, x, wanted = 0.0, np.zeros(4), []
    for g in gradients:
        velocity = 0.9 * velocity + g
        x = x - 5e-2 * velocity
        wanted.append(x)
    config = OptimizerConfig(name="momentum")
    np.testing.assert_allclose(_run(config, gradients), np.stack(wanted), rtol=1e-4, atol=1e-6)


def test_the_released_schedule_equals_the_loop_of_the_released_code():
    # Gradients alternate in size, so that rates and velocities cannot be confused.
    gradients = np.random.default_rng(2).normal(size=(1300, 3)).astype(np.float32)
    velocity, x, wanted = 0.0, np.zeros(3), []
    for i, g in enumerate(gradients):
        factor = 1 if i < 400 else 0.3 if i < 800 else 0.1 if i < 1200 else 0.03
        velocity = 0.9 * velocity + 0.1 * factor * g
        x = x - velocity
        wanted.append(x)
    config = OptimizerConfig(name="momentum", learning_rate=0.1, schedule="released_code")
    got = _run(config, gradients)
    for at in (1, 399, 400, 401, 405, 800, 1200, 1299):
        np.testing.assert_allclose(
            got[at] - got[at - 1], wanted[at] - wanted[at - 1], rtol=2e-3, atol=2e-6
        )
    np.testing.assert_allclose(got, np.stack(wanted), rtol=1e-3, atol=1e-4)


def test_a_schedule_belongs_to_momentum_alone():
    with pytest.raises(InputError, match="schedule is 'released_code' with 'adam'"):
        OptimizerConfig(schedule="released_code")
    with pytest.raises(InputError, match="schedule is 'cosine'"):
        OptimizerConfig(name="momentum", schedule="cosine")
    assert OptimizerConfig().schedule is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "sgd"),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("b1", 1.0),
        ("b2", -0.1),
        ("eps", 0.0),
        ("momentum", 1.5),
        ("bias_correction", "none"),
    ],
)
def test_values_out_of_range_are_refused(field, value):
    with pytest.raises(InputError, match=field):
        OptimizerConfig(**{field: value})
