"""Every cell of Table 1 is an affine subspace around the same w0 or w_t of a seed."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dofbook import methods, subspaces
from dofbook.errors import InputError
from dofbook.keys import Role, run_key
from dofbook.methods.pruning import PruningConfig
from dofbook.methods.trajectories import LotteryConfig
from dofbook.networks import build, flatten
from dofbook.training import TrainConfig, train
from dofbook.training.optimizers import OptimizerConfig

CONFIG = {
    methods.lottery_subspace: {"config": LotteryConfig(spacing=1), "epochs": 6},
    methods.lottery_ticket: {"config": PruningConfig(training_epochs=1, weight_decay=0)},
}
GENERAL = (methods.random_affine, methods.lottery_subspace)
AXIS_ALIGNED = (methods.random_pruning, methods.lottery_ticket)
METHODS = GENERAL + AXIS_ALIGNED


@pytest.fixture(scope="module")
def data(first_digits):
    return first_digits(256, 128)


@pytest.fixture(scope="module")
def network():
    return flatten(build("mlp", 10), (8, 8, 1), evaluation_chunk=128)


@pytest.fixture(scope="module")
def make(network, data):
    def make(method, d, t=0, seed=0, **options):
        chosen = CONFIG.get(method, {}) | options
        return method(network, data, seed, d, burn_in_steps=t, **chosen)

    return make


def _columns(subspace):
    """Write A out, column by column."""
    return np.asarray(jax.vmap(subspace.directions.lift)(jnp.eye(subspace.d))).T


@pytest.mark.parametrize("t", [0, 3])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("d", [1, 9])
def test_offset_and_directions_are_those_of_table_1(make, network, data, method, d, t):
    subspace = make(method, d, t)
    assert (subspace.d, subspace.D) == (d, network.D)
    columns = _columns(subspace)
    np.testing.assert_allclose(np.linalg.norm(columns, axis=0), 1, rtol=1e-5)
    w_t = np.asarray(methods.offset(network, data, 0, t))
    if method in GENERAL:
        np.testing.assert_array_equal(subspace.offset, w_t)
        # Nearly all weights take part; those of pixels that are always blank never move.
        assert np.count_nonzero(columns) > 0.9 * columns.size
    else:
        kept = np.flatnonzero(columns.any(axis=1))
        assert len(kept) == d
        assert np.count_nonzero(columns) == d
        np.testing.assert_array_equal(
            subspace.offset, np.where(np.isin(np.arange(network.D), kept), w_t, 0)
        )
    if method is not methods.random_affine:
        np.testing.assert_allclose(columns.T @ columns, np.eye(d), atol=1e-5)


def test_with_all_weights_kept_a_ticket_is_the_full_network(make, network, data):
    full = methods.full_space(network, 0)
    config = TrainConfig(epochs=2)
    key = jax.random.key(4)
    wanted = full.point(train(network, data, full, key, config).theta)
    for method in AXIS_ALIGNED:
        subspace = make(method, network.D)
        np.testing.assert_array_equal(subspace.offset, full.offset)
        got = subspace.point(train(network, data, subspace, key, config).theta)
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4)


def test_a_lottery_subspace_of_full_rank_contains_its_trajectory(make, network, data):
    steps = 12  # 6 epochs of 2 batches, every step stored
    subspace = make(methods.lottery_subspace, steps)
    w_end = methods.offset(network, data, 0, steps)
    away = w_end - subspace.offset
    back = subspace.directions.lift(subspace.directions.project(away))
    np.testing.assert_allclose(back, away, atol=1e-5)
    fewer = make(methods.lottery_subspace, 5, t=4)
    np.testing.assert_array_equal(fewer.directions.rows, subspace.directions.rows[:5])
    with pytest.raises(InputError, match="span only 12 directions"):
        make(methods.lottery_subspace, 13)


def test_the_length_of_the_trajectory_is_that_of_the_training_unless_set(make):
    config = LotteryConfig(spacing=1)
    assert len(make(methods.lottery_subspace, 4, config=config, epochs=2).directions.rows) == 4
    with pytest.raises(InputError, match="4 steps of training stored every 1"):
        make(methods.lottery_subspace, 5, config=config, epochs=2)
    longer = LotteryConfig(spacing=1, steps=7)
    assert make(methods.lottery_subspace, 7, config=longer, epochs=2).d == 7


def test_the_basis_of_a_lottery_subspace_is_chosen_by_name(make):
    config = {b: LotteryConfig(b, spacing=1) for b in ("increments", "centred", "uncentred")}
    rows = [make(methods.lottery_subspace, 2, config=c).directions.rows for c in config.values()]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert np.abs(rows[one] - rows[other]).max() > 1e-4
    # The first uncentred direction is nearly that of the displacement itself.
    assert not np.allclose(rows[0], rows[2], atol=1e-3)


@pytest.mark.parametrize("kind", ["dense", "hadamard"])
@pytest.mark.parametrize("nested", [False, True])
def test_random_directions_are_chosen_by_name(make, network, kind, nested):
    got = make(methods.random_affine, 9, directions=kind, nested=nested).directions
    key = run_key(0, Role.DIRECTIONS, *(() if nested else (9,)))
    wanted = subspaces.directions(kind, key, 9, network.D)
    assert type(got) is type(wanted)
    jax.tree.map(np.testing.assert_array_equal, got, wanted)


def test_random_draws_differ_between_seeds_and_dimensions_and_repeat(make):
    def kept(d, seed=0, nested=False):
        subspace = make(methods.random_pruning, d, seed=seed, nested=nested)
        return set(np.asarray(subspace.directions.indices).tolist())

    assert kept(20) == kept(20)
    assert kept(20) != kept(20, seed=1)
    assert not kept(20) < kept(40)
    assert kept(20, nested=True) < kept(40, nested=True)


def test_all_methods_start_from_the_signature_of_random_affine():
    wanted = list(inspect.signature(methods.random_affine).parameters)[:5]
    for method in METHODS:
        assert list(inspect.signature(method).parameters)[:5] == wanted


def test_every_method_trains(make, network, data):
    config = TrainConfig(epochs=8, optimizer=OptimizerConfig())
    for method in METHODS:
        # A few axis-aligned weights would leave every layer without a path through it.
        subspace = make(method, 10 if method in GENERAL else 500)
        history = train(network, data, subspace, jax.random.key(0), config).history
        assert history.train_loss[-1] < history.train_loss[0] - 0.01, method.__name__


@pytest.mark.parametrize("method", METHODS)
def test_bad_numbers_are_refused(make, network, method):
    with pytest.raises(InputError, match="burn_in_steps is -1"):
        make(method, 4, t=-1)
    with pytest.raises(InputError, match="d is 0"):
        make(method, 0)
    with pytest.raises(InputError, match=f"d is {network.D + 1}"):
        make(method, network.D + 1)


def test_a_ticket_is_not_random():
    with pytest.raises(InputError, match="criterion is 'random'"):
        methods.lottery_ticket(None, None, 0, 3, config=PruningConfig(criterion="random"))
    with pytest.raises(InputError, match="kind of directions is 'cauchy'"):
        methods.random_affine(flatten(build("mlp", 10), (8, 8, 1)), None, 0, 3, directions="cauchy")
