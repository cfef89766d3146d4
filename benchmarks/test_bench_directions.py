"""Cost of the kinds of directions: one product, and a gradient step of ResNet20 through them."""

import jax
import jax.numpy as jnp
import pytest

from dofbook.networks import paper_network
from dofbook.subspaces import (
    KINDS,
    AffineSubspace,
    Identity,
    axis_aligned,
    directions,
)
from dofbook.training import OptimizerConfig, classification, make_optimizer
from dofbook.training.compiling import _compiler_options

PRODUCTS, STEPS, BATCH = 20, 2, 128
SHAPE = (32, 32, 3)
# More than a gigabyte of directions is left out: Gaussian at d > 13,000 (Conv-2), 1000 (ResNet20).
LARGEST = 1.1e9
DIMENSIONS = {20_490: (16, 256, 4096, 20_490), 272_474: (16, 256, 4096, 32_768, 272_474)}


def _bytes(kind, d, D):
    return {"gaussian": 4 * d * D, "sparse": 8 * d * D**0.5}.get(kind, 0)


CASES = [
    (kind, d, D)
    for D, dimensions in DIMENSIONS.items()
    for d in dimensions
    for kind in (*KINDS, "axis-aligned")
    if _bytes(kind, d, D) < LARGEST
]


def _draw(kind, d, D):
    if kind == "axis-aligned":
        return axis_aligned(jnp.sort(jax.random.permutation(jax.random.key(0), D)[:d]), D)
    return directions(kind, jax.random.key(0), d, D)


@pytest.mark.parametrize("product", ["lift", "project"])
@pytest.mark.parametrize("kind, d, D", CASES)
def test_product(benchmark, kind, d, D, product):
    A = _draw(kind, d, D)

    def repeat(A, x):
        # Each product depends on the one before, as in training; no one can be hoisted.
        def body(x, _):
            return x + 1e-9 * getattr(A, product)(x).mean(), None

        return jax.lax.scan(body, x, None, length=PRODUCTS)[0]

    x = jnp.ones(d if product == "lift" else D)
    program = jax.jit(repeat, compiler_options=_compiler_options())

    def run():
        jax.block_until_ready(program(A, x))

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    ms = 1e3 * benchmark.stats.stats.min / PRODUCTS
    stored = sum(leaf.nbytes for leaf in jax.tree.leaves(A)) / 2**20
    benchmark.extra_info.update(
        what=f"{product} {kind} {d} -> {D}",
        ms_per_run_step=ms,
        notes=f"per product; {stored:.1f} MiB of directions",
    )


@pytest.mark.parametrize(
    "kind, d", [(None, 272_474), *((k, 4096) for k in KINDS if k != "gaussian")]
)
def test_resnet20_step(benchmark, kind, d):
    """Step in the full space (kind None) and in structured subspaces; memory as compiled."""
    network = paper_network("resnet20", SHAPE, 10)
    A = Identity(network.D) if kind is None else directions(kind, jax.random.key(0), d, network.D)
    subspace = AffineSubspace(network.init(jax.random.key(1)), A)
    images = jax.random.normal(jax.random.key(2), (STEPS, BATCH, *SHAPE))
    labels = jax.random.randint(jax.random.key(3), (STEPS, BATCH), 0, 10)
    optimizer = make_optimizer(OptimizerConfig())

    def descend(subspace, theta, state):
        def step(carry, batch):
            theta, state = carry
            x, y = batch

            def loss(theta):
                return classification.loss(network.apply(subspace.point(theta), x), y).mean()

            gradient = jax.grad(loss)(theta)
            updates, state = optimizer.update(gradient, state, theta)
            return (theta + updates, state), None

        return jax.lax.scan(step, (theta, state), (images, labels))[0]

    theta = jnp.zeros(subspace.d)
    arguments = subspace, theta, optimizer.init(theta)
    program = jax.jit(descend, compiler_options=_compiler_options()).lower(*arguments).compile()
    memory = program.memory_analysis()
    total = memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes

    def run():
        jax.block_until_ready(program(*arguments))

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    ms = 1e3 * benchmark.stats.stats.min / STEPS
    benchmark.extra_info.update(
        what=f"resnet20 step, {kind or 'full space'}",
        ms_per_run_step=ms,
        notes=f"d = {d}; {total / 2**20:.0f} MiB as compiled",
    )
