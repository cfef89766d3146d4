"""Many runs at once: the same runs as one after the other, in chunks and over several devices."""

import json
import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dofbook import methods, training
from dofbook.errors import InputError, RunFailed
from dofbook.keys import Role, run_key
from dofbook.networks import flat_network
from dofbook.subspaces import AffineSubspace, gaussian
from dofbook.training import DeviceData, TrainConfig
from dofbook.training import batched as runs
from dofbook.training.batched import Batching, chunk_size, train_runs
from dofbook.training.optimizers import OptimizerConfig

CONFIG = TrainConfig(epochs=2, batch_size=100, checkpoints_per_epoch=1)
KEYS = [run_key(seed, Role.SUBSPACE_BATCHES) for seed in range(5)]


@pytest.fixture(scope="module")
def data(first_digits):
    return first_digits(300, 100)


@pytest.fixture(scope="module")
def network():
    return flat_network("mlp", (8, 8, 1), 10)


@pytest.fixture(scope="module")
def build(network, data):
    return lambda seed: methods.random_affine(network, data, seed, 12, burn_in_steps=3)


@pytest.fixture(scope="module")
def one_by_one(network, data, build):
    return train_runs(network, data, build, KEYS, CONFIG, Batching("sequential"))


def assert_same_runs(got, wanted):
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(a.step, b.step)
        np.testing.assert_allclose(a.train_loss, b.train_loss, rtol=1e-4)
        np.testing.assert_allclose(a.test_loss, b.test_loss, rtol=1e-4)
        np.testing.assert_allclose(a.test_accuracy, b.test_accuracy, atol=0.011)  # one image


def test_sequential_runs_are_those_of_train(network, data, build, one_by_one):
    wanted = training.train(network, data, build(3), KEYS[3], CONFIG).history
    for a, b in zip(one_by_one[3], wanted, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("chunk", [2, 9])
def test_batched_runs_are_the_same_runs(network, data, build, one_by_one, chunk):
    got = train_runs(network, data, build, KEYS, CONFIG, Batching("batched", chunk))
    assert_same_runs(got, one_by_one)


def test_runs_of_the_full_space_go_together_too(network, data):
    config = TrainConfig(epochs=1, optimizer=OptimizerConfig(name="momentum"))
    both = [
        train_runs(
            network, data, lambda seed: methods.full_space(network, seed), KEYS[:2], config, way
        )
        for way in (Batching("sequential"), Batching("batched"))
    ]
    assert_same_runs(*both)


def test_convolutions_go_together_too(data):
    network = flat_network("conv2", (8, 8, 1), 10)
    few = DeviceData(data.x_train[:64], data.y_train[:64], data.x_test, data.y_test)
    both = [
        train_runs(
            network, few, lambda seed: methods.random_affine(network, few, seed, 8), KEYS[:2],
            TrainConfig(epochs=2, batch_size=64), way,
        )
        for way in (Batching("sequential"), Batching("batched"))
    ]  # fmt: skip
    assert_same_runs(*both)


def test_four_devices_share_the_runs(one_by_one):
    """Five runs on four devices of one host: two slots each, the last device idle."""
    script = """
        import json, sys, jax
        sys.path.insert(0, sys.argv[1])
        from test_runs import *
        from dofbook.training import batched as runs
        from dofbook.datasets import load

        assert len(jax.devices()) == 4
        d = load("digits")
        some = (d.x_train[:300], d.y_train[:300], d.x_test[:100], d.y_test[:100])
        data = training.put(DeviceData(*some))
        network = flat_network("mlp", (8, 8, 1), 10)
        build = lambda seed: methods.random_affine(network, data, seed, 12, burn_in_steps=3)
        placed = []
        take = runs._Stack.take
        def spy(stack):
            subspaces = take(stack)
            rows = subspaces.directions.rows
            placed.append([rows.shape, sorted(s.data.shape for s in rows.addressable_shards)])
            return subspaces
        runs._Stack.take = spy
        got = train_runs(network, data, build, KEYS, CONFIG, Batching("batched"))
        print(json.dumps([[h.train_loss.tolist(), h.test_accuracy.tolist()] for h in got]))
        print(json.dumps(placed))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), os.path.dirname(__file__)],
        env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    got, placed = map(json.loads, done.stdout.splitlines())
    assert placed == [[[8, 12, 2410], 4 * [[2, 12, 2410]]]]
    for (loss, accuracy), history in zip(got, one_by_one, strict=True):
        np.testing.assert_allclose(loss, history.train_loss, rtol=1e-4)
        np.testing.assert_allclose(accuracy, history.test_accuracy, atol=0.011)


class Exhausted(jax.errors.JaxRuntimeError):
    pass


def limited(monkeypatch, most, message="RESOURCE_EXHAUSTED: Out of memory while trying to"):
    """Let a training of more than so many runs fail as a full device does."""
    follow, sizes = training.follow, []

    def refuse(programs, data, subspace, state, *rest):
        sizes.append(len(state.theta))
        if len(state.theta) > most:
            raise Exhausted(message)
        return follow(programs, data, subspace, state, *rest)

    monkeypatch.setattr(training, "follow", refuse)
    return sizes


def test_out_of_memory_halves_the_chunk_and_goes_on(
    network, data, build, one_by_one, monkeypatch, caplog
):
    sizes = limited(monkeypatch, 2)
    got = train_runs(network, data, build, KEYS, CONFIG, Batching("batched"))
    assert sizes == [5, 2, 2, 2]
    assert_same_runs(got, one_by_one)
    assert "out of memory with 5 runs at once; going on with 2" in caplog.text


def test_a_run_that_does_not_fit_alone_is_reported(network, data, build, monkeypatch):
    limited(monkeypatch, 0)
    with pytest.raises(RunFailed, match="one run per device does not fit"):
        train_runs(network, data, build, KEYS[:2], CONFIG, Batching("batched"))


def test_other_errors_of_the_device_pass(network, data, build, monkeypatch):
    limited(monkeypatch, 0, "INTERNAL: something else")
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        train_runs(network, data, build, KEYS[:2], CONFIG, Batching("batched"))


def test_chunks_fill_the_memory_and_are_even():
    assert chunk_size(10, 1.0, 1e9) == 10
    assert chunk_size(10, 1.0, 5.0) == 4  # 80 % of 5 holds 4: chunks of 4, 4 and 2
    assert chunk_size(10, 1.0, 7.5) == 5  # 6 would fit; two chunks of 5 do as well
    assert chunk_size(10, 100.0, 1.0) == 1
    assert chunk_size(10, 1.0, 5.0, devices=2) == 5


def test_the_estimate_bounds_what_the_program_takes(data):
    """Against XLA's own count: above it, and at most seven times."""
    network, config = flat_network("conv2", (8, 8, 1), 10), TrainConfig()
    for d in (8, 512):
        subspace = AffineSubspace(jnp.zeros(network.D), gaussian(jax.random.key(0), d, network.D))
        state = training.initial_state(subspace, config.optimizer)
        batches = jnp.zeros((3, config.batch_size), int)
        program = jax.jit(training.descent(network, config.optimizer))
        memory = program.lower(
            subspace, state, data.x_train, data.y_train, batches
        ).compile().memory_analysis()  # fmt: skip
        inputs = runs.tree_bytes((subspace, state))
        taken = memory.temp_size_in_bytes + memory.output_size_in_bytes + inputs
        assert taken <= runs.run_bytes(network, data, config, subspace) <= 7 * taken


def test_the_estimate_needs_no_arrays(network, data):
    subspace = jax.eval_shape(
        lambda: AffineSubspace(jnp.zeros(network.D), gaussian(jax.random.key(0), 7, network.D))
    )
    least = 4 * 8 * network.D
    assert least < runs.run_bytes(network, data, CONFIG, subspace) < 100 * least


def test_subspaces_are_written_in_place(network):
    """One more subspace in the stack takes no second copy of the stack."""
    like = AffineSubspace(jnp.zeros(network.D), gaussian(jax.random.key(0), 4, network.D))
    stack = runs._Stack(like, 3, tuple(jax.devices()[:1]))
    before = stack._parts[0].directions.rows.unsafe_buffer_pointer()
    stack.put(2, like)
    assert stack._parts[0].directions.rows.unsafe_buffer_pointer() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "magic"}, "strategy is 'magic'; allowed: auto, sequential, batched"),
        ({"precision": "bf16"}, "precision is 'bf16'; allowed: float32, tf32"),
        ({"chunk": 0}, "chunk is 0; it must be at least 1"),
    ],
)
def test_bad_choices_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Batching(**options)
