"""Every cell of Table 1 is an affine subspace around the same w0 or w_t of a seed."""

import ast
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dofbook import subspaces
from dofbook.errors import InputError
from dofbook.keys import Role, run_key
from dofbook.methods import (
    FullSpace,
    LotterySubspace,
    LotteryTicket,
    Method,
    RandomAffine,
    RandomPruning,
    label,
    methods,
    read_method,
)
from dofbook.training import OptimizerConfig, Task, fit, make_task
from dofbook.training.task import TaskConfig

# Six epochs of two batches, so that a trajectory has twelve steps.
GENERAL = (RandomAffine(), LotterySubspace(spacing=1, trajectory_steps=12))
AXIS_ALIGNED = (RandomPruning(), LotteryTicket(pruning_epochs=1, weight_decay=0))
METHODS = GENERAL + AXIS_ALIGNED
LOTTERY = GENERAL[1]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


@pytest.fixture(scope="module")
def data(first_digits):
    return first_digits(256, 128)


@pytest.fixture(scope="module")
def task(data):
    network = Task("mlp", data).network
    return Task(replace(network, evaluation_chunk=128), data, epochs=6)


def _columns(subspace):
    """Write A out, column by column."""
    return np.asarray(jax.vmap(subspace.directions.lift)(jnp.eye(subspace.d))).T


@pytest.mark.parametrize("t", [0, 3])
@every_method
@pytest.mark.parametrize("d", [1, 9])
def test_offset_and_directions_are_those_of_table_1(task, method, d, t):
    method = replace(method, t=t)
    subspace = method.subspace(task, 0, d)
    D = task.network.D
    assert (subspace.d, subspace.D) == (d, D)
    columns = _columns(subspace)
    np.testing.assert_allclose(np.linalg.norm(columns, axis=0), 1, rtol=1e-5)
    w_t = np.asarray(method.offset(task, 0))
    np.testing.assert_array_equal(w_t, RandomAffine(t).offset(task, 0))
    if isinstance(method, RandomAffine | LotterySubspace):
        np.testing.assert_array_equal(subspace.offset, w_t)
        # Nearly all weights take part; those of pixels that are always blank never move.
        assert np.count_nonzero(columns) > 0.9 * columns.size
    else:
        kept = np.flatnonzero(columns.any(axis=1))
        assert len(kept) == d
        assert np.count_nonzero(columns) == d
        np.testing.assert_array_equal(
            subspace.offset, np.where(np.isin(np.arange(D), kept), w_t, 0)
        )
    if not isinstance(method, RandomAffine):
        np.testing.assert_allclose(columns.T @ columns, np.eye(d), atol=1e-5)


def test_with_all_weights_kept_a_ticket_is_the_full_network(task):
    full = FullSpace().subspace(task, 0)
    task, key = replace(task, epochs=2), jax.random.key(4)
    wanted = full.point(fit(task, full, key).theta)
    for method in AXIS_ALIGNED:
        subspace = method.subspace(task, 0, task.network.D)
        np.testing.assert_array_equal(subspace.offset, full.offset)
        got = subspace.point(fit(task, subspace, key).theta)
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4)


def test_a_lottery_subspace_of_full_rank_contains_its_trajectory(task):
    steps = 12
    assert LotterySubspace(spacing=1).points(task.steps).tolist() == list(range(1, steps + 1))
    subspace = LOTTERY.subspace(task, 0, steps)
    w_end = RandomAffine(steps).offset(task, 0)
    away = w_end - subspace.offset
    back = subspace.directions.lift(subspace.directions.project(away))
    np.testing.assert_allclose(back, away, atol=1e-5)
    fewer = replace(LOTTERY, t=4).subspace(task, 0, 5)
    np.testing.assert_array_equal(fewer.directions.rows, subspace.directions.rows[:5])
    with pytest.raises(InputError, match="span only 12 directions"):
        LOTTERY.subspace(task, 0, 13)


def test_the_length_of_the_trajectory_is_that_of_the_training_unless_set(task):
    task, method = replace(task, epochs=2), LotterySubspace(spacing=1)
    assert len(method.subspace(task, 0, 4).directions.rows) == 4
    with pytest.raises(InputError, match="4 steps of training stored every 1"):
        method.subspace(task, 0, 5)
    with pytest.raises(InputError, match="4 steps, stored every 1, spans at most 4 directions"):
        method.check(task, 5)
    assert replace(method, trajectory_steps=7).subspace(task, 0, 7).d == 7


def test_the_basis_of_a_lottery_subspace_is_chosen_by_name(task):
    bases = [replace(LOTTERY, basis=b) for b in ("increments", "centred", "uncentred")]
    rows = [method.subspace(task, 0, 2).directions.rows for method in bases]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert np.abs(rows[one] - rows[other]).max() > 1e-4
    # The first uncentred direction is nearly that of the displacement itself.
    assert not np.allclose(rows[0], rows[2], atol=1e-3)


@pytest.mark.parametrize("kind", ["gaussian", "hadamard"])
@pytest.mark.parametrize("nested", [False, True])
def test_random_directions_are_chosen_by_name(task, kind, nested):
    got = RandomAffine(directions=kind, nested=nested).subspace(task, 0, 9).directions
    key = run_key(0, Role.DIRECTIONS, *(() if nested else (9,)))
    wanted = subspaces.directions(kind, key, 9, task.network.D)
    assert type(got) is type(wanted)
    jax.tree.map(np.testing.assert_array_equal, got, wanted)


def test_random_draws_differ_between_seeds_and_dimensions_and_repeat(task):
    def kept(d, seed=0, nested=False):
        subspace = RandomPruning(nested=nested).subspace(task, seed, d)
        return set(np.asarray(subspace.directions.indices).tolist())

    assert kept(20) == kept(20)
    assert kept(20) != kept(20, seed=1)
    assert not kept(20) < kept(40)
    assert kept(20, nested=True) < kept(40, nested=True)


def test_every_method_trains(task):
    task = replace(task, epochs=8)
    for method in METHODS:
        # A few axis-aligned weights would leave every layer without a path through it.
        subspace = method.subspace(task, 0, 10 if method in GENERAL else 500)
        loss = fit(
            task, subspace, jax.random.key(0), optimizer=OptimizerConfig()
        ).history.train_loss
        assert loss.iloc[-1] < loss.iloc[0] - 0.01, method.name


@every_method
def test_bad_numbers_are_refused(task, method):
    for t in (-1, 1.5, True):
        with pytest.raises(InputError, match=f"burn_in_steps is {t}"):
            replace(method, t=t)
    for d in (0, 2.5, "4"):
        with pytest.raises(InputError, match=f"d is {d!r}"):
            method.subspace(task, 0, d)
    D = task.network.D
    with pytest.raises(InputError, match=f"d is {D + 1}"):
        method.subspace(task, 0, D + 1)
    with pytest.raises(InputError, match=f"d is {D + 1}, but .* on digits has only D = {D}"):
        method.check(task, D + 1)


def test_a_ticket_is_not_random_and_directions_have_known_kinds():
    ticket = LotteryTicket().written()
    with pytest.raises(InputError, match="criterion is 'random'"):
        read_method(ticket | {"pruning": ticket["pruning"] | {"criterion": "random"}})
    with pytest.raises(InputError, match="directions is 'cauchy'; allowed: 'gaussian', 'sparse'"):
        RandomAffine(directions="cauchy")


# --- what a method says of itself ----------------------------------------------------------------

EVERY = (
    FullSpace(), RandomAffine(4, "hadamard", nested=True), RandomAffine(),
    LotterySubspace(2, "centred", 3, 40, 1), RandomPruning(1, nested=True),
    RandomPruning(retraining="released_code"), LotteryTicket(8, 3, 2, "released_code", 0.0),
)  # fmt: skip


@pytest.mark.parametrize("method", EVERY, ids=repr)
def test_a_method_is_read_back_from_what_is_written_of_it(method):
    content = method.written()
    assert read_method(content) == method
    assert content == {}  # what is left would be unknown to it


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"method": "magic"}, "method is 'magic'; allowed: .*affine"),
        ({"burn_in_steps": -2}, "burn_in_steps is -2"),
        ({"directions": "cauchy"}, "directions is 'cauchy'"),
    ],
)
def test_a_description_of_no_method_is_refused(changed, said):
    with pytest.raises(InputError, match=said):
        read_method(RandomAffine().written() | changed)


def test_table_1_is_listed():
    assert {"affine", "lottery_subspace", "lottery_ticket", "random_pruning", "full"} <= set(
        methods()
    )
    assert all(issubclass(kind, Method) for kind in methods().values())


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (RandomAffine(), "random affine"),
        (RandomAffine(8), "burn-in affine, t = 8"),
        (RandomAffine(8, nested=True), "burn-in affine, t = 8"),
        (RandomAffine(0, "fastfood"), "random affine (fastfood)"),
        (LotterySubspace(16, "centred", trajectory_steps=9),
         "lottery subspace, t = 16 (centred, trajectory steps 9)"),
        (LotteryTicket(pruning_epochs=4), "lottery ticket"),
        (LotteryTicket(iterations=3), "lottery ticket (iterations 3)"),
        (RandomPruning(retraining="released_code"), "random pruning (released_code)"),
        (FullSpace(), "full"),
    ],
    ids=repr,
)  # fmt: skip
def test_labels_name_the_row_and_what_differs_from_its_default(method, words):
    assert method.label == words == label(method.name, method.t, method.variant)


@pytest.mark.parametrize("name", ["top_gradients", "no.such:TopGradients", "no_such:top_gradients"])
def test_the_label_of_a_method_unknown_here_is_its_name(name):
    assert label(name, 2, "centred") == "top gradients, t = 2 (centred)"


@every_method
def test_shapes_are_those_of_the_subspace(task, method):
    drawn, said = method.subspace(task, 0, 9), method.shapes(9, task.network.D)
    assert jax.tree.structure(drawn) == jax.tree.structure(said)
    for a, b in zip(jax.tree.leaves(drawn), jax.tree.leaves(said), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)


def test_nesting_can_be_asked_for_where_there_is_any():
    assert RandomAffine(3).as_nested() == RandomAffine(3, nested=True)
    assert RandomPruning().as_nested() == RandomPruning(nested=True)
    assert LotterySubspace(2).as_nested() == LotterySubspace(2)
    for method in (LotteryTicket(), FullSpace()):
        with pytest.raises(InputError, match=f"method is '{method.name}'; only nested"):
            method.as_nested()


def test_full_training_has_no_burn_in_and_one_dimension(task):
    with pytest.raises(InputError, match="burn_in_steps is 3; full training starts at w0"):
        FullSpace(3)
    assert FullSpace().dims((4, 8)) == (None,)
    assert FullSpace().subspace(task, 0).d == task.network.D


def test_the_extra_burn_in_step_is_that_of_the_released_code():
    plain, extra = (
        make_task(TaskConfig("digits", "mlp", extra_burn_in_step=extra)) for extra in (0, 1)
    )
    np.testing.assert_array_equal(
        RandomAffine(3).offset(extra, 0), RandomAffine(4).offset(plain, 0)
    )
    np.testing.assert_array_equal(RandomAffine(0).offset(extra, 0), plain.initialization(0))


def test_directions_have_a_seed_of_their_own(task):
    own, shared = RandomAffine(nested=True), RandomAffine(nested=True, directions_seed=1)
    rows = {
        (method, seed): np.asarray(method.subspace(task, seed, 3).directions.rows)
        for method in (own, shared)
        for seed in (0, 1)
    }
    np.testing.assert_array_equal(rows[shared, 0], rows[own, 1])
    np.testing.assert_array_equal(rows[shared, 0], rows[shared, 1])
    assert not (rows[own, 0] == rows[own, 1]).all()
    np.testing.assert_array_equal(shared.offset(task, 0), own.offset(task, 0))


@pytest.mark.parametrize("given", [{}, {"directions_seed": 7}, {"directions": "fastfood"}])
def test_a_default_is_left_out_of_what_is_hashed(given):
    method = RandomAffine(2, nested=True, **given)
    written = {"method": "affine", "burn_in_steps": 2, "nested": True, **given}
    assert method.written() == written and read_method(dict(written)) == method
    assert method.variant == ", ".join(
        f"directions seed {v}" if k == "directions_seed" else v for k, v in given.items()
    )


def test_nothing_outside_its_package_knows_a_method_by_name():
    allowed = {
        ("success/tables.py", "full"),  # what a table calls its baseline
        ("commands/status.py", "full"), ("commands/describing.py", "affine"),  # words of options
        ("subspaces/__init__.py", "affine"),  # a module
    }  # fmt: skip
    names, package, found = set(methods()), Path(subspaces.__file__).parents[1], set()
    for file in package.rglob("*.py"):
        place = file.relative_to(package).as_posix()
        if not place.startswith("methods/"):
            words = {n.value for n in ast.walk(ast.parse(file.read_text())) if is_text(n)}
            found |= {(place, name) for name in names & words}
    assert found <= allowed


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"number": "5"}, "number is '5'; it must be a whole number."),
        ({"number": True}, "number is True; it must be a whole number."),
        ({"rate": "fast"}, "rate is 'fast'; it must be a finite number."),
        ({"whether": 1}, "whether is 1; it must be a bool."),
        ({"word": 3}, "word is 3; it must be a str."),
        ({"some": 2.5}, "some is 2.5; it must be a whole number."),
        ({"one": "c"}, "one is 'c'; allowed: 'a', 2."),
        ({"one": 2.0}, "one is 2.0; allowed: 'a', 2."),
    ],
)
def test_a_value_of_another_type_than_its_field_is_refused(given, said):
    @dataclass(frozen=True)
    class Typed(Method):
        number: int = 3
        rate: float = np.inf
        whether: bool = False
        word: str = "a"
        some: int | None = 4
        one: Literal["a", 2] = 2
        any: int | str | tuple = ()

        name: ClassVar[str] = f"typed {given}"

    for allowed in ({}, {"rate": 1}, {"some": None}, {"one": "a"}, {"any": 3}, {"any": None}):
        assert Typed(**allowed) == replace(Typed(), **allowed)
    with pytest.raises(InputError, match=f"^{re.escape(said)}$"):
        Typed(**given)
