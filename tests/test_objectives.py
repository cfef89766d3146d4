"""Objectives: per-example losses and metrics by hand, and what does not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dofbook.datasets import Dataset
from dofbook.errors import InputError
from dofbook.training.objectives import (
    OBJECTIVES,
    Objective,
    classification,
    next_token,
    objective,
    regression,
)


def _data(y, y_test=None):
    y = np.asarray(y)
    y_test = y if y_test is None else np.asarray(y_test)
    return Dataset.from_arrays(np.zeros((len(y), 2)), y, np.zeros((len(y_test), 2)), y_test)


def _by_hand(logits, labels):
    shifted = np.exp(logits.astype(np.float64))
    shifted /= shifted.sum(-1, keepdims=True)
    return -np.log(np.take_along_axis(shifted, labels[..., None], -1))[..., 0]


def test_classification_is_cross_entropy_and_accuracy():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(7, 4)).astype(np.float32), rng.integers(0, 4, 7)
    loss = classification.loss(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_allclose(loss, _by_hand(logits, labels), rtol=1e-5)
    exact = optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(logits), labels)
    np.testing.assert_array_equal(loss, exact)
    ((name, accuracy),) = classification.metrics
    found = accuracy(jnp.asarray(logits), jnp.asarray(labels))
    assert name == "accuracy" and found.dtype == jnp.float32
    np.testing.assert_array_equal(found, logits.argmax(1) == labels)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_regression_is_squared_and_absolute_error(shape):
    rng = np.random.default_rng(1)
    outputs, targets = rng.normal(size=(2, 5, *shape)).astype(np.float32)
    given = outputs[:, None] if shape == () else outputs
    axes = tuple(range(1, outputs.ndim))
    difference = outputs - targets
    wanted = (difference**2).mean(axes), abs(difference).mean(axes)
    (name, absolute_error), *_ = regression.metrics
    assert name == "absolute_error"
    for function, want in zip((regression.loss, absolute_error), wanted, strict=True):
        np.testing.assert_allclose(function(jnp.asarray(given), jnp.asarray(targets)), want, 1e-6)
    regression.check(given.shape, _data(targets))


def test_next_token_averages_over_positions():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(3, 5, 6)).astype(np.float32)
    tokens = rng.integers(0, 6, (3, 5))
    loss = next_token.loss(jnp.asarray(logits), jnp.asarray(tokens))
    np.testing.assert_allclose(loss, _by_hand(logits, tokens).mean(1), rtol=1e-5)
    ((_, accuracy),) = next_token.metrics
    found = accuracy(jnp.asarray(logits), jnp.asarray(tokens))
    np.testing.assert_allclose(found, (logits.argmax(-1) == tokens).mean(1), rtol=1e-6)
    next_token.check((1, 5, 6), _data(tokens))


def test_columns_are_named_split_by_split_in_order():
    assert classification.metric_names == (
        "train_loss", "train_accuracy", "test_loss", "test_accuracy"
    )  # fmt: skip
    own = Objective("own", abs, {"hit": max, "worst_error": min})
    assert own.metrics == (("hit", max), ("worst_error", min))
    assert own.metric_names[:3] == ("train_loss", "train_hit", "train_worst_error")


def test_objectives_are_found_by_name_and_hashable():
    assert OBJECTIVES == ("classification", "regression", "next_token")
    assert [objective(name).name for name in OBJECTIVES] == list(OBJECTIVES)
    assert objective("regression") is regression
    assert len({classification, regression, next_token, objective("classification")}) == 3
    for name in ("classify", None, [], 3):
        with pytest.raises(InputError, match="allowed: classification, regression, next_token, or"):
            objective(name)
    with pytest.raises(InputError, match="No module named 'nowhere_to_be_found'"):
        objective("nowhere_to_be_found:mine")


@pytest.mark.parametrize(
    ("goal", "shape", "y", "said"),
    [
        (classification, (1, 3), [0, 3], "y_train has labels 0 to 3; the network's 3 logits allow"),
        (classification, (1, 3), [0, -1], "y_train has labels -1 to 0; the network's 3 logits"),
        (classification, (1, 3), [0.0, 1.0], "y_train is float32; classification takes integer la"),
        (classification, (1,), [0, 1], r"takes outputs \(N, logits\).*network gives \(N\) and y_"),
        (classification, (1, 5, 3), [0, 1], r"the network gives \(N, 5, 3\)"),
        (classification, (1, 3), [[0], [1]], r"and y_train is \(N, 1\)"),
        (regression, (1, 2), [0.0, 1.0], r"network gives \(N, 2\) and y_train is \(N\)"),
        (regression, (1, 1), [[0.0, 1.0]], r"network gives \(N, 1\) and y_train is \(N, 2\)"),
        (regression, (1, 3, 2), [[0.0] * 6], r"network gives \(N, 3, 2\) and y_train is \(N, 6\)"),
        (next_token, (1, 4), [[0, 1]], r"outputs \(N, 2, logits\) .*network gives \(N, 4\)"),
        (next_token, (1, 3, 4), [[0, 1]], r"network gives \(N, 3, 4\) and y_train is \(N, 2\)"),
        (next_token, (1, 2, 4), [[0, 4]], "labels 0 to 4; the network's 4 logits allow 0 to 3"),
        (next_token, (1, 2, 4), [0, 1], r"y_train is \(N\)"),
        (
            next_token,
            (1, 2, 4),
            [[0.0, 1.0]],
            "y_train is float32; next_token takes integer labels",
        ),
        (
            Objective("own", lambda a, b: a.sum()),
            (1, 2),
            [0, 1],
            r"loss of own gives \(\) for 2 ex",
        ),
        (Objective("own", lambda a, b: 1.0), (1, 2), [0, 1], r"loss of own gives \(\) for 2 exam"),
        (Objective("own", lambda a: a), (1, 2), [0, 1], "loss of own raised TypeError: .*takes 1"),
        (
            Objective("own", lambda a, b: a[:, 0], {"bad": lambda a, b: a}),
            (1, 2),
            [0, 1],
            r"bad of own gives \(2, 2\) for 2 examples; it must give one number for each, \(2,\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(goal, shape, y, said):
    with pytest.raises(InputError, match=said) as caught:
        goal.check(shape, _data(y))
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_the_test_split_is_checked_too():
    with pytest.raises(InputError, match="y_test has labels 3 to 3"):
        classification.check((1, 3), _data([0, 1], [3]))
    classification.check((64, 4), _data([0, 1], [3]))


def test_device_arrays_are_checked_alike():
    class Arrays:
        x_train = x_test = jnp.zeros((2, 3))
        y_train = y_test = jnp.array([0, 5])

    with pytest.raises(InputError, match="labels 0 to 5"):
        classification.check((1, 3), Arrays)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("own", 3), "loss of own is 3; it must be a function"),
        (("own", abs, {"hit": None}), "hit of own is None; it must be a function"),
        (("own", abs, {"loss": abs}), "the metrics are loss, loss; each name is used once"),
        (("own", abs, (("a", abs), ("a", abs))), "each name is used once"),
        (("own", abs, {"Hit rate": abs}), "a metric is called 'Hit rate'; use small letters"),
        (("own", abs, ("hit",)), "metrics is .*; give pairs of a name and a function"),
        (("own", abs, 3), "metrics is 3; give pairs of a name and a function"),
        ((3, abs), "name is 3; it must be printable text"),
    ],
)
def test_objectives_that_are_none_are_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        Objective(*arguments)


def test_losses_have_gradients():
    outputs, targets = jnp.array([[2.0, -1.0]]), jnp.array([1])
    slope = jax.grad(lambda outputs: classification.loss(outputs, targets).mean())(outputs)
    p = np.exp(3) / (1 + np.exp(3))
    np.testing.assert_allclose(slope, [[p, -p]], rtol=1e-5)
