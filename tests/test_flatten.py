"""Any network as one vector: against JAX's own gradients of the tree, and refusals."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.flatten_util import ravel_pytree

from dofbook.errors import InputError
from dofbook.networks import BatchNorm, flatten
from dofbook.training.objectives import classification, next_token, regression

eqx = pytest.importorskip("equinox")
KEY = jax.random.key(0)


class Mlp(nn.Module):
    outputs: int = 2
    param_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(8, param_dtype=self.param_dtype)(x))
        return nn.Dense(self.outputs, param_dtype=self.param_dtype)(x)


class NnxMlp(nnx.Module):
    def __init__(self, rngs, features=30, dropout=0.0):
        self.first = nnx.Linear(features, 8, rngs=rngs)
        self.norm = nnx.LayerNorm(8, rngs=rngs)
        self.last = nnx.Linear(8, 2, rngs=rngs)
        self.dropout = nnx.Dropout(dropout, rngs=rngs)

    def __call__(self, x):
        return self.last(self.dropout(self.norm(nnx.relu(self.first(x)))))


class EqxMlp(eqx.Module):
    layers: list
    order: jax.Array
    scale: float = 2.0

    def __init__(self, key):
        first, second, third = jax.random.split(key, 3)
        self.layers = [eqx.nn.Linear(30, 8, key=first), eqx.nn.Linear(8, 2, key=second)]
        self.order = jax.random.permutation(third, 30)

    def __call__(self, x):
        return self.layers[1](jax.nn.relu(self.layers[0](self.scale * x[self.order])))


class Block(nn.Module):
    """One block of a character transformer."""

    vocabulary: int
    width: int = 16

    @nn.compact
    def __call__(self, tokens):
        positions = self.param("positions", nn.initializers.normal(0.02), (16, self.width))
        x = nn.Embed(self.vocabulary, self.width)(tokens) + positions[: tokens.shape[1]]
        mask = nn.make_causal_mask(tokens)
        y = nn.LayerNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(2)(y, mask=mask)
        x = x + nn.Dense(self.width)(nn.gelu(nn.Dense(2 * self.width)(nn.LayerNorm()(x))))
        return nn.Dense(self.vocabulary)(nn.LayerNorm()(x))


@pytest.fixture(scope="module")
def table():
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    return jnp.asarray(x[:256], jnp.float32), jnp.asarray(y[:256], jnp.int32)


@pytest.fixture(scope="module")
def diabetes():
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    y = (y - y.mean()) / y.std()
    return jnp.asarray(x[:256] * 20, jnp.float32), jnp.asarray(y[:256], jnp.float32)


@pytest.fixture(scope="module")
def text():
    """Give windows of 16 characters of this repository's README and each one's successor."""
    characters = (Path(__file__).parents[1] / "README.md").read_text()[:4097]
    known = sorted(set(characters))
    codes = np.array([known.index(c) for c in characters], np.int32)
    return codes[:-1].reshape(-1, 16), codes[1:].reshape(-1, 16), len(known)


def _losses(network, objective, x, y, steps=30, rate=0.02):
    """Descend in all of R^D, as plainly as JAX does it."""
    optimizer = optax.adam(rate)

    @jax.jit
    def step(w, state):
        loss, gradient = jax.value_and_grad(
            lambda w: objective.loss(network.apply(w, x), y).mean()
        )(w)
        updates, state = optimizer.update(gradient, state)
        return w + updates, state, loss

    w = network.init(KEY)
    state, losses = optimizer.init(w), []
    for _ in range(steps):
        w, state, loss = step(w, state)
        losses.append(float(loss))
    return losses


def _holds_to(network, tree, apply, objective, x, y, rtol=1e-5):
    """Compare weights, outputs and gradient with those of the original tree of arrays."""
    w = network.init(KEY)
    wanted, unravel = ravel_pytree(tree)
    assert w.dtype == jnp.float32 and network.D == w.size == wanted.size
    np.testing.assert_allclose(w, wanted, rtol=1e-6)  # compiled, a scaled draw rounds otherwise

    @partial(jax.jit, static_argnums=0)
    def differentiated(apply, weights):
        outputs, pullback = jax.vjp(lambda weights: apply(weights, x), weights)
        return outputs, pullback(jax.grad(lambda out: objective.loss(out, y).mean())(outputs))[0]

    outputs, ours = differentiated(network.apply, w)
    wanted, theirs = differentiated(apply, tree)
    np.testing.assert_allclose(outputs, wanted, rtol=rtol, atol=1e-5)
    np.testing.assert_allclose(ours, ravel_pytree(theirs)[0], rtol=rtol, atol=1e-6)
    for layer, leaf in zip(network.layers, jax.tree.leaves(tree), strict=True):
        assert layer.shape == leaf.shape
        np.testing.assert_allclose(w[layer.start : layer.stop], leaf.ravel(), rtol=1e-6)


def test_a_table_of_two_classes(table):
    x, y = table
    network = flatten(Mlp(), x)
    apply = lambda tree, x: Mlp().apply({"params": tree}, x)  # noqa: E731
    _holds_to(network, Mlp().init(KEY, x[:1])["params"], apply, classification, x, y)
    losses = _losses(network, classification, x, y)
    assert losses[-1] < losses[0] / 3
    assert network.name == "Mlp" and network.layers[0].name == "Dense_0/bias"
    classification.check((1, 2), _Split(x, y))


class _Split:
    def __init__(self, x, y):
        self.x_train = self.x_test = x
        self.y_train = self.y_test = y


def test_regression_on_a_table(diabetes):
    x, y = diabetes
    network = flatten(Mlp(1), x)
    apply = lambda tree, x: Mlp(1).apply({"params": tree}, x)  # noqa: E731
    _holds_to(network, Mlp(1).init(KEY, x[:1])["params"], apply, regression, x, y)
    losses = _losses(network, regression, x, y)
    assert losses[-1] < 0.6 * losses[0]
    regression.check((1, 1), _Split(x, y))


def test_a_transformer_on_characters(text):
    x, y, vocabulary = text
    network = flatten(Block(vocabulary), x)
    apply = lambda tree, x: Block(vocabulary).apply({"params": tree}, x)  # noqa: E731
    tree = jax.jit(Block(vocabulary).init)(KEY, x[:1])["params"]
    _holds_to(network, tree, apply, next_token, x[:32], y[:32], rtol=1e-4)
    losses = _losses(network, next_token, x, y)
    assert losses[0] == pytest.approx(np.log(vocabulary), rel=0.2)
    assert losses[-1] < 0.8 * losses[0]
    next_token.check((1, 16, vocabulary), _Split(x, y))


def test_nnx_modules_and_functions_of_rngs(table):
    x, y = table
    module = NnxMlp(nnx.Rngs(KEY))
    graph, tree, others = nnx.split(module, nnx.Param, ...)
    apply = lambda tree, x: nnx.merge(graph, tree, others)(x)  # noqa: E731
    for network in (flatten(module, x), flatten(NnxMlp, x)):
        _holds_to(network, tree, apply, classification, x, y)
    names = ["first/bias", "first/kernel", "last/bias", "last/kernel", "norm/bias", "norm/scale"]
    assert [layer.name for layer in network.layers] == names
    assert network.name == "NnxMlp"
    assert np.abs(network.init(jax.random.key(1)) - network.init(KEY)).max() > 0.1
    losses = _losses(network, classification, x, y)
    assert losses[-1] < losses[0] / 3
    fixed = flatten(module, x)
    module.first.kernel[...] = jnp.zeros_like(module.first.kernel[...])  # no way back into ours
    assert np.abs(fixed.init(jax.random.key(1))).max() > 0.1
    np.testing.assert_array_equal(fixed.init(jax.random.key(1)), fixed.init(KEY))


def test_equinox_modules_and_functions_of_a_key(table):
    x, y = table
    module = EqxMlp(KEY)
    tree, rest = eqx.partition(module, eqx.is_inexact_array)
    apply = lambda tree, x: jax.vmap(eqx.combine(tree, rest))(x)  # noqa: E731
    for network in (flatten(module, x), flatten(EqxMlp, x), flatten(lambda key: EqxMlp(key), x)):
        _holds_to(network, tree, apply, classification, x, y)
    names = [f"layers/{i}/{array}" for i in (0, 1) for array in ("weight", "bias")]
    assert [layer.name for layer in flatten(module, x).layers] == names
    losses = _losses(network, classification, x, y)
    assert losses[-1] < losses[0] / 3
    stock = flatten(eqx.nn.MLP(30, 2, 8, 1, key=KEY), x)
    assert stock.D == 30 * 8 + 8 + 8 * 2 + 2


@pytest.mark.parametrize("shaped", [False, True])
def test_a_pair_on_any_tree(diabetes, shaped):
    x, y = diabetes

    def init(key, *example):
        width = example[0].shape[1] if shaped else 10
        a, b = jax.random.split(key)
        return {"layers": [jax.random.normal(a, (width, 4)), (jax.random.normal(b, (4,)),)]}

    def init_by_key(key):
        return init(key)

    def apply(tree, x):
        return jnp.tanh(x @ tree["layers"][0]) @ tree["layers"][1][0]

    network = flatten((init if shaped else init_by_key, apply), x)
    _holds_to(network, init(KEY, x[:1]), apply, regression, x, y)
    assert [layer.name for layer in network.layers] == ["layers/0", "layers/1/0"]


def test_arrays_of_other_types_are_cast_back_and_integers_stay_fixed():
    def init(key):
        return {
            "half": jnp.full((3,), 1.5, jnp.float16),
            "mask": jnp.array([True, False, True]),
            "brain": jnp.full((2, 3), 0.25, jnp.bfloat16),
            "order": jax.random.permutation(key, 3),
            "single": jnp.ones(3),
            "width": 3,
        }

    def apply(tree, x):
        kinds = {name: leaf.dtype for name, leaf in tree.items() if name != "width"}
        assert kinds == {
            "half": jnp.float16, "mask": bool, "brain": jnp.bfloat16, "order": jnp.int32,
            "single": jnp.float32,
        }  # fmt: skip
        assert tree["width"] == 3
        y = (x * tree["mask"])[:, tree["order"]] * tree["half"] * tree["single"]
        return y.astype(jnp.bfloat16) @ tree["brain"].T

    x = jnp.arange(6.0).reshape(2, 3)
    network = flatten((init, apply), x)
    names = {layer.name for layer in network.layers}
    assert names == {"half", "brain", "single"} and network.D == 12
    w = network.init(jax.random.key(5))  # the fixed ones are key 0's for every seed
    assert w.dtype == jnp.float32 and network.apply(w, x).dtype == jnp.float32
    np.testing.assert_array_equal(network.apply(w, x), apply(init(KEY), x).astype(jnp.float32))
    gradient = jax.jit(jax.grad(lambda w: network.apply(w, x).sum()))(w)
    tree = init(KEY)
    free = {name: tree[name] for name in names}
    theirs = jax.grad(lambda free: apply(tree | free, x).astype(jnp.float32).sum())(free)
    for layer in network.layers:
        wanted = np.asarray(theirs[layer.name], np.float32).ravel()
        np.testing.assert_allclose(gradient[layer.start : layer.stop], wanted, rtol=1e-2)


def test_a_network_of_bfloat16_trains(table):
    x, y = table
    losses = _losses(flatten(Mlp(param_dtype=jnp.bfloat16), x), classification, x, y)
    assert losses[-1] < losses[0] / 3


def test_trainable_says_which_arrays_move(table):
    x, y = table
    whole = flatten(Mlp(), x)
    asked = {}

    def last(path, leaf):
        asked[path] = leaf.shape
        return path.startswith("Dense_1/")

    part = flatten(Mlp(), x, trainable=last)
    assert asked["Dense_0/kernel"] == (30, 8)
    assert [layer.name for layer in part.layers] == ["Dense_1/bias", "Dense_1/kernel"]
    w = whole.init(KEY)
    np.testing.assert_array_equal(part.init(KEY), w[whole.layers[2].start :])
    np.testing.assert_allclose(part.apply(part.init(KEY), x), whole.apply(w, x), rtol=1e-6)
    some = jax.random.key(3)  # what does not move is key 0's for every seed
    mixed = jnp.concatenate([w[: whole.layers[2].start], part.init(some)])
    np.testing.assert_allclose(part.apply(part.init(some), x), whole.apply(mixed, x), rtol=1e-6)


def test_evaluation_mode_is_taken_as_it_stands(table):
    x, y = table

    class Averaged(nnx.Module):
        def __init__(self, rngs):
            self.linear = nnx.Linear(30, 2, rngs=rngs)
            self.norm = nnx.BatchNorm(2, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return self.dropout(self.norm(self.linear(x)))

    module = Averaged(nnx.Rngs(0))
    with pytest.raises(InputError, match="Averaged changes .* whenever it is applied.* eval()"):
        flatten(module, x)
    module.eval()
    network = flatten(module, x)
    assert {layer.name for layer in network.layers} == {
        "linear/bias", "linear/kernel", "norm/bias", "norm/scale"
    }  # fmt: skip
    np.testing.assert_allclose(network.apply(network.init(KEY), x), module(x), rtol=1e-5)


class _Dropping(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dropout(0.5, deterministic=False)(nn.Dense(2)(x))


class _Training(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(2)(x) if train else x


class _Several(nn.Module):
    @nn.compact
    def __call__(self, x):
        y = nn.Dense(2)(x)
        return y, y


class _Averaging(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=False)(nn.Dense(2)(x))


class _Empty(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.relu(x)


class _Raising(nn.Module):
    @nn.compact
    def __call__(self, x):
        raise RuntimeError("no way\nat all")


class _Deep(nn.Module):
    @nn.compact
    def __call__(self, x):
        for _ in range(3):
            x = nn.max_pool(nn.Conv(2, (3, 3))(x), (2, 2), (2, 2))
        return nn.Dense(2)(x.reshape(len(x), -1))


class _Exiting(nn.Module):
    @nn.compact
    def __call__(self, x):
        sys.exit(0)


class _EqxDropping(eqx.Module):
    linear: eqx.nn.Linear
    dropout: eqx.nn.Dropout

    def __call__(self, x):
        return self.dropout(self.linear(x))


def _eqx_averaging():
    return eqx.nn.Sequential([eqx.nn.BatchNorm(3, axis_name="batch", mode="batch")])


def _pair(apply, init=lambda key: jnp.ones(3)):
    return init, apply


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (_Dropping(), "_Dropping raised InvalidRngError: .*PRNG.*test_flatten.* leave dropout out"),
        (_Training(), "_Training raised TypeError: .*'train'.* a default, such as train=False"),
        (_Several(), "_Several gives a tuple; it must give one array"),
        (_Averaging(), "_Averaging has the collections batch_stats, params; only .*BatchNorm"),
        (_Empty(), "_Empty has no parameters to train; D must be at least 1"),
        (
            _Raising(),
            r"_Raising raised RuntimeError: no way \(in __call__ at .*test_flatten.py, li",
        ),
        (_Exiting(), r"_Exiting called sys.exit\(0\) \(in __call__ at .*test_flatten.py, line"),
        (nn.Dense, r"network is Dense, which takes no rngs and no key; make one: Dense\(\)\.$"),
        (NnxMlp(nnx.Rngs(0), 3, dropout=0.5), "NnxMlp changes dropout/.* as dropout and running"),
        (
            _EqxDropping(eqx.nn.Linear(3, 2, key=KEY), eqx.nn.Dropout(0.5)),
            "_EqxDropping raised RuntimeError: Dropout requires a key.*inference=True",
        ),
        (3, "network is int; give a module of flax.linen, flax.nnx or equinox"),
        ((abs,), "network is a tuple of 1; give"),
        (lambda x: x, "network is <lambda>, which takes no rngs and no key"),
        (lambda key: 3, "<lambda> gave int; give"),
        (_pair(lambda w, x: {"logits": x}), "network gives a dict; it must give one array"),
        (_pair(lambda w, x: x.argmax(1)), r"network gives int32 \(2,\) for 2 inputs of shape"),
        (_pair(lambda w, x: (x @ w).sum()), r"network gives float32 \(\) for 2 inputs"),
        (_pair(lambda w, x: x, lambda key: {}), "network has no parameters to train; D"),
        (_pair(lambda w, x: x, lambda key: {"n": jnp.arange(3)}), "no parameters"),
        (_pair(lambda w, x: x, lambda key: {"a": 1.0}), "parameter a is 1.0, a Python number"),
        (_pair(lambda w, x: x, lambda key: [jnp.ones(2) + 1j]), "parameter 0 is complex64"),
        (_pair(lambda w, x: x, lambda key: 1 / 0), "network raised ZeroDivisionError: division"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_sentence_with_the_way_out(module, said):
    with pytest.raises(InputError, match=said) as caught:
        flatten(module, jnp.zeros((1, 3)))
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")  # equinox's own remark on its kinds of batch normalization
def test_running_averages_of_equinox_are_refused():
    with pytest.raises(InputError, match="Sequential keeps a state, as running averages are"):
        flatten(_eqx_averaging(), jnp.zeros((1, 3)))


@pytest.mark.parametrize("shape", [(4, 4, 1), (1, 28, 28)])
def test_images_too_small_or_with_channels_first_are_refused(shape):
    with pytest.raises(InputError, match="too small for it, or have their channels first"):
        flatten(_Deep(), jnp.zeros((1, *shape)))


@pytest.mark.parametrize("example", [(8, 8, 1), 3.0, np.array(["a"]), np.float32(1), None])
def test_an_example_must_be_inputs(example):
    with pytest.raises(InputError, match="give inputs with a leading axis, such as x_train"):
        flatten(Mlp(), example)


def test_trainable_that_leaves_nothing_names_what_there_is():
    x = jnp.zeros((1, 3))
    said = "no parameters to train among Dense_0/bias, Dense_0/kernel, Dense_1/bias"
    with pytest.raises(InputError, match=said):
        flatten(Mlp(), x, trainable=lambda path, leaf: False)
    with pytest.raises(InputError, match="Mlp raised TypeError: .* takes 1 positional argument"):
        flatten(Mlp(), x, trainable=lambda path: True)


@pytest.mark.parametrize(
    "options", [{"trainable": 3}, {"evaluation_chunk": 0}, {"gradient_chunk": 2.5}]
)
def test_options_are_checked(options):
    with pytest.raises(InputError, match=f"{next(iter(options))} is .*; it must be a"):
        flatten(Mlp(), jnp.zeros((1, 3)), **options)


def test_an_example_may_be_a_shape():
    shape = jax.ShapeDtypeStruct((64, 3), np.float64)
    assert flatten(Mlp(), shape).D == flatten(Mlp(), np.zeros((1, 3))).D


def test_without_the_optional_libraries_nothing_is_imported():
    code = """
import sys
import jax.numpy as jnp
from dofbook.networks import MLP, flatten
before = set(sys.modules)
flatten(MLP((2,), 3), jnp.zeros((1, 4)))
flatten((lambda key: jnp.ones(3), lambda w, x: x @ w), jnp.zeros((1, 3)))
assert "equinox" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_in_double_precision_weights_stay_float32(capsys):
    code = """
import jax, jax.numpy as jnp, numpy as np
from dofbook.networks import BatchNorm, flatten, paper_network
assert jax.config.jax_enable_x64
for name, shape in (("conv2", (8, 8, 1)), ("mlp", (3,))):
    network = paper_network(name, shape, 10)
    w = network.init(jax.random.key(0))
    x = np.linspace(0, 1, 2 * int(np.prod(shape)), dtype=np.float32).reshape(2, *shape)
    assert w.dtype == network.apply(w, x).dtype == jnp.float32, (name, w.dtype)
    print(np.asarray(w, np.float64).sum(), *np.asarray(network.apply(w, x))[0, :2])
pair = (lambda key: {"wide": jnp.ones(3, jnp.float64)}, lambda tree, x: x @ tree["wide"])
network = flatten(pair, jnp.zeros((1, 3)))
assert network.init(jax.random.key(0)).dtype == jnp.float32
assert network.apply(jnp.full(3, 0.1), jnp.ones((2, 3))).dtype == jnp.float32
"""
    exec(code.replace("assert jax.config.jax_enable_x64\n", "").split("pair =")[0], {})
    one = capsys.readouterr().out
    command, environment = [sys.executable, "-c", code], {**os.environ, "JAX_ENABLE_X64": "1"}
    two = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert two.returncode == 0, two.stderr
    one, two = (np.fromstring(text, sep=" ") for text in (one, two.stdout))
    np.testing.assert_allclose(one, two, rtol=1e-4)


def test_batches_see_one_another_only_where_the_network_lets_them():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((6, 3)), jnp.float32)

    class Normed(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(BatchNorm()(nn.Dense(4)(x)))

    network = flatten(Normed(), x)
    w = network.init(KEY)
    assert np.abs(network.apply(w, x)[:3] - network.apply(w, x[:3])).max() > 1e-3
