"""How many steps of the network one step of its linearization costs: Conv-2 on MNIST shapes.

Both take the same number of steps in turn, round by round, so that whatever else the machine does
hits both; the ratio is that of the fastest rounds. Random images serve.
"""

import time

import jax
import pytest

from dofbook.landscape.linearization import carry, carrying
from dofbook.networks import paper_network
from dofbook.subspaces import AffineSubspace, gaussian
from dofbook.training import OptimizerConfig, classification
from dofbook.training.loop import compiled_descent, initial_state

STEPS, BATCH, ROUNDS = 20, 128, 7
SHAPE = (28, 28, 1)


@pytest.mark.parametrize("d", [16, 256])
def test_linearized_step_against_the_networks_own(benchmark, d):
    images = jax.random.normal(jax.random.key(0), (STEPS * BATCH, *SHAPE))
    labels = jax.random.randint(jax.random.key(1), (STEPS * BATCH,), 0, 10)
    batches = jax.random.permutation(jax.random.key(2), STEPS * BATCH).reshape(STEPS, BATCH)
    network = paper_network("conv2", SHAPE, 10)
    w0, centre = (network.init(jax.random.key(seed)) for seed in (3, 4))
    place = AffineSubspace(w0, gaussian(jax.random.key(5), d, network.D))
    linear = carrying(network.with_derivatives("linear"))
    optimizer = OptimizerConfig()
    pairs = {"network": (network, place), "linearized": (linear, carry(place, centre))}
    seconds = {name: [] for name in pairs}

    def both():
        for name, (model, subspace) in pairs.items():
            start = initial_state(subspace.d, optimizer)
            begin = time.perf_counter()
            descend = compiled_descent(model, classification, optimizer)
            jax.block_until_ready(descend(subspace, start, images, labels, batches, None))
            seconds[name].append(time.perf_counter() - begin)

    benchmark.pedantic(both, rounds=ROUNDS, warmup_rounds=1)
    ms = {name: 1e3 * min(times[1:]) / STEPS for name, times in seconds.items()}
    benchmark.extra_info.update(
        what=f"linearized step, d = {d}",
        ms_per_run_step=ms["linearized"],
        notes=f"network {ms['network']:.1f} ms; ratio {ms['linearized'] / ms['network']:.2f}",
    )
