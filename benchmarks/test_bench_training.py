"""Milliseconds per training step of one run: Conv-2 on MNIST shapes, batch 128.

The reference is the step a reader would write first: Flax's own layers, optax, one jitted step
called from Python. Random images serve, because time does not depend on their content.
"""

import time

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dofbook.networks import paper_network
from dofbook.subspaces import AffineSubspace, Identity, gaussian
from dofbook.training import OptimizerConfig, classification
from dofbook.training.compiling import _compiler_options
from dofbook.training.loop import compiled_descent, initial_state

STEPS, BATCH, IMAGES = 40, 128, 12_800
SHAPE = (28, 28, 1)


@pytest.fixture(scope="module")
def images():
    return jax.random.normal(jax.random.key(0), (IMAGES, *SHAPE))


@pytest.fixture(scope="module")
def labels():
    return jax.random.randint(jax.random.key(1), (IMAGES,), 0, 10)


@pytest.fixture(scope="module")
def batches():
    return jax.random.permutation(jax.random.key(2), STEPS * BATCH).reshape(STEPS, BATCH)


def _record(benchmark, what, run, runs=1, **notes):
    benchmark.pedantic(run, rounds=7 if runs == 1 else 2, warmup_rounds=0 if runs > 1 else 1)
    # The fastest round: what the machine does when nothing else disturbs it.
    ms = 1e3 * benchmark.stats.stats.min / (STEPS * runs)
    benchmark.extra_info.update(what=what, ms_per_run_step=ms, **notes)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_plain_flax_and_optax(benchmark, images, labels, batches, pooling):
    pool = nn.max_pool if pooling == "max" else nn.avg_pool

    class Stock(nn.Module):
        @nn.compact
        def __call__(self, x):
            for features in (16, 32):
                x = pool(nn.relu(nn.Conv(features, (3, 3))(x)), (2, 2), (2, 2))
            return nn.Dense(10)(x.reshape(len(x), -1))

    module, optimizer = Stock(), optax.adam(5e-2, eps=1e-7)
    start = module.init(jax.random.key(0), images[:1])

    @jax.jit
    def step(params, state, indices):
        def loss(params):
            logits = module.apply(params, images[indices])
            return classification.loss(logits, labels[indices]).mean()

        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    def run():
        params, state = start, optimizer.init(start)
        for indices in batches:
            params, state = step(params, state, indices)
        jax.block_until_ready(params)

    name = "plain flax + optax" if pooling == "max" else "plain, average pooling"
    _record(benchmark, name, run)


def _descend(benchmark, what, subspaces, pooling, images, labels, batches):
    network = paper_network("conv2", SHAPE, 10, pooling)
    optimizer = OptimizerConfig()
    descend = compiled_descent(network, classification, optimizer)

    def run():
        states = [
            descend(s, initial_state(s.d, optimizer), images, labels, batches, None)
            for s in subspaces
        ]
        jax.block_until_ready(states)

    start = initial_state(subspaces[0].d, optimizer)
    program = jax.jit(descend.__wrapped__, compiler_options=_compiler_options())
    lowered = program.lower(subspaces[0], start, images, labels, batches, None)
    begin = time.perf_counter()
    lowered.compile()
    seconds = time.perf_counter() - begin
    run()
    _record(benchmark, what, run, len(subspaces), notes=f"compile {seconds:.1f} s")


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("runs", [1, 10])
def test_full_space(benchmark, images, labels, batches, runs, pooling):
    network = paper_network("conv2", SHAPE, 10, pooling)
    subspaces = [
        AffineSubspace(network.init(jax.random.key(seed)), Identity(network.D))
        for seed in range(runs)
    ]
    what = f"full space, {runs} run{'s' * (runs > 1)}" + (", average" * (pooling != "max"))
    _descend(benchmark, what, subspaces, pooling, images, labels, batches)


@pytest.mark.parametrize("runs", [1, 10])
@pytest.mark.parametrize("d", [16, 256, 1024, 4096])
def test_subspace(benchmark, images, labels, batches, d, runs):
    network = paper_network("conv2", SHAPE, 10)
    subspaces = [
        AffineSubspace(
            network.init(jax.random.key(seed)), gaussian(jax.random.key(100 + seed), d, network.D)
        )
        for seed in range(runs)
    ]
    what = f"d = {d}, {runs} run{'s' * (runs > 1)}"
    _descend(benchmark, what, subspaces, "max", images, labels, batches)


def test_memory_traffic_of_two_passes_over_the_directions(benchmark):
    """Time theta A and A g alone at d = 4096: the floor of a dense subspace step."""
    network = paper_network("conv2", SHAPE, 10)
    directions = gaussian(jax.random.key(3), 4096, network.D)
    theta, g = jnp.ones(4096), jnp.ones(network.D)

    @jax.jit
    def both(directions, theta, g):
        return directions.lift(theta), directions.project(g)

    def run():
        for _ in range(STEPS // 10):
            jax.block_until_ready(both(directions, theta, g))

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    ms = 1e3 * benchmark.stats.stats.min / (STEPS // 10)
    gigabytes = 2 * directions.rows.nbytes / 1e9
    note = f"{gigabytes / ms * 1e3:.0f} GB/s"
    benchmark.extra_info.update(what="two passes, d = 4096", ms_per_run_step=ms, notes=note)
    assert np.isfinite(ms)
