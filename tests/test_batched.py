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

from dofbook.errors import InputError, RunFailed
from dofbook.keys import Role, run_key
from dofbook.methods import FullSpace, RandomAffine
from dofbook.subspaces import AffineSubspace, gaussian
from dofbook.training import Batching, OptimizerConfig, Task, batched, fit, loop, train_runs
from dofbook.training.batched import chunk_size

SETTINGS = {"epochs": 2, "batch_size": 100}
KEYS = [run_key(seed, Role.SUBSPACE_BATCHES) for seed in range(5)]


@pytest.fixture(scope="module")
def data(first_digits):
    return first_digits(300, 100)


@pytest.fixture(scope="module")
def task(data):
    return Task("mlp", data, **SETTINGS)


@pytest.fixture(scope="module")
def build(task):
    return lambda seed: RandomAffine(3).subspace(task, seed, 12)


@pytest.fixture(scope="module")
def one_by_one(task, build):
    return train_runs(task, build, KEYS, batching=Batching("sequential"))


def assert_same_runs(got, wanted):
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(a.step, b.step)
        np.testing.assert_allclose(a.train_loss, b.train_loss, rtol=1e-4)
        np.testing.assert_allclose(a.test_loss, b.test_loss, rtol=1e-4)
        np.testing.assert_allclose(a.test_accuracy, b.test_accuracy, atol=0.011)  # one image


def test_sequential_runs_are_those_of_train(task, build, one_by_one):
    wanted = fit(task, build(3), KEYS[3]).history
    assert list(one_by_one[3]) == list(wanted)
    for name in wanted:
        np.testing.assert_array_equal(one_by_one[3][name], wanted[name])


@pytest.mark.parametrize("chunk", [2, 9])
def test_batched_runs_are_the_same_runs(task, build, one_by_one, chunk):
    got = train_runs(task, build, KEYS, batching=Batching("batched", chunk))
    assert_same_runs(got, one_by_one)


def test_runs_of_the_full_space_go_together_too(data):
    task = Task("mlp", data, epochs=1, optimizer=OptimizerConfig(name="momentum"))
    both = [
        train_runs(task, lambda seed: FullSpace().subspace(task, seed), KEYS[:2], batching=way)
        for way in (Batching("sequential"), Batching("batched"))
    ]
    assert_same_runs(*both)


def test_convolutions_go_together_too(first_digits):
    task = Task("conv2", first_digits(64, 100), epochs=2, batch_size=64)
    both = [
        train_runs(
            task, lambda seed: RandomAffine().subspace(task, seed, 8), KEYS[:2], batching=way
        )
        for way in (Batching("sequential"), Batching("batched"))
    ]
    assert_same_runs(*both)


def test_an_optimizer_given_apart_is_that_of_all_runs(data):
    task, own = Task("mlp", data, epochs=1), OptimizerConfig(name="momentum", learning_rate=0.1)
    wanted = Task("mlp", data, epochs=1, optimizer=own)
    build = lambda seed: RandomAffine().subspace(wanted, seed, 4)  # noqa: E731
    for way in (Batching("sequential"), Batching("batched")):
        got = train_runs(task, build, KEYS[:2], own, way)
        assert_same_runs(got, train_runs(wanted, build, KEYS[:2], batching=way))


def test_four_devices_share_the_runs(one_by_one):
    """Five runs on four devices of one host: two slots each, the last device idle."""
    script = """
        import json, sys, jax
        sys.path.insert(0, sys.argv[1])
        from dataclasses import replace
        from test_batched import *
        from dofbook.datasets import load

        assert len(jax.devices()) == 4
        d = load("digits")
        data = replace(
            d, x_train=d.x_train[:300], y_train=d.y_train[:300],
            x_test=d.x_test[:100], y_test=d.y_test[:100],
        )
        task = Task("mlp", data, **SETTINGS)
        build = lambda seed: RandomAffine(3).subspace(task, seed, 12)
        placed = []
        take = batched._Stack.take
        def spy(stack):
            subspaces = take(stack)
            rows = subspaces.directions.rows
            placed.append([rows.shape, sorted(s.data.shape for s in rows.addressable_shards)])
            return subspaces
        batched._Stack.take = spy
        got = train_runs(task, build, KEYS, batching=Batching("batched"))
        print(json.dumps([[h.train_loss.tolist(), h.test_accuracy.tolist()] for h in got]))
        print(json.dumps(placed))
    """
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), os.path.dirname(__file__)],
        env=os.environ | {"XLA_FLAGS": flags},
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
    follow, sizes = loop.follow, []

    def refuse(programs, task, subspace, state, *rest):
        sizes.append(len(state.theta))
        if len(state.theta) > most:
            raise Exhausted(message)
        return follow(programs, task, subspace, state, *rest)

    monkeypatch.setattr(loop, "follow", refuse)
    return sizes


def test_out_of_memory_halves_the_chunk_and_goes_on(task, build, one_by_one, monkeypatch, caplog):
    sizes = limited(monkeypatch, 2)
    got = train_runs(task, build, KEYS, batching=Batching("batched"))
    assert sizes == [5, 2, 2, 2]
    assert_same_runs(got, one_by_one)
    assert "out of memory with 5 runs at once; going on with 2" in caplog.text


def test_a_run_that_does_not_fit_alone_is_reported(task, build, monkeypatch):
    limited(monkeypatch, 0)
    with pytest.raises(RunFailed, match="one run per device does not fit"):
        train_runs(task, build, KEYS[:2], batching=Batching("batched"))


def test_other_errors_of_the_device_pass(task, build, monkeypatch):
    limited(monkeypatch, 0, "INTERNAL: something else")
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        train_runs(task, build, KEYS[:2], batching=Batching("batched"))


def test_chunks_fill_the_memory_and_are_even():
    assert chunk_size(10, 1.0, 1e9) == 10
    assert chunk_size(10, 1.0, 5.0) == 4  # 80 % of 5 holds 4: chunks of 4, 4 and 2
    assert chunk_size(10, 1.0, 7.5) == 5  # 6 would fit; two chunks of 5 do as well
    assert chunk_size(10, 100.0, 1.0) == 1
    assert chunk_size(10, 1.0, 5.0, devices=2) == 5


def test_the_estimate_bounds_what_the_program_takes(data):
    """Against XLA's own count: above it, and at most seven times."""
    task = Task("conv2", data)
    network, arrays = task.network, task.arrays
    for d in (8, 512):
        subspace = AffineSubspace(jnp.zeros(network.D), gaussian(jax.random.key(0), d, network.D))
        state = loop.initial_state(subspace.d, task.optimizer)
        batches = jnp.zeros((3, task.batch_size), int)
        program = jax.jit(loop.descent(network, task.objective, task.optimizer))
        memory = program.lower(
            subspace, state, arrays.x_train, arrays.y_train, batches
        ).compile().memory_analysis()  # fmt: skip
        inputs = batched.tree_bytes((subspace, state))
        taken = memory.temp_size_in_bytes + memory.output_size_in_bytes + inputs
        assert taken <= batched.run_bytes(task, subspace) <= 7 * taken


def test_the_estimate_needs_no_arrays(task):
    D = task.network.D
    subspace = jax.eval_shape(
        lambda: AffineSubspace(jnp.zeros(D), gaussian(jax.random.key(0), 7, D))
    )
    least = 4 * 8 * D
    assert least < batched.run_bytes(task, subspace) < 100 * least


def test_subspaces_are_written_in_place(task):
    """One more subspace in the stack takes no second copy of the stack."""
    D = task.network.D
    like = AffineSubspace(jnp.zeros(D), gaussian(jax.random.key(0), 4, D))
    stack = batched._Stack(like, 3, tuple(jax.devices()[:1]))
    before = stack._parts[0].directions.rows.unsafe_buffer_pointer()
    stack.put(2, like)
    assert stack._parts[0].directions.rows.unsafe_buffer_pointer() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "magic"}, "strategy is 'magic'; allowed: 'auto', 'sequential', 'batched'"),
        ({"precision": "bf16"}, "precision is 'bf16'; allowed: 'float32', 'tf32'"),
        ({"chunk": 0}, "chunk is 0; it must be a whole number of at least 1"),
    ],
)
def test_bad_choices_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Batching(**options)
