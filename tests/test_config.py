"""Configurations: round trips, hashes, and what the named sweeps contain."""

import hashlib
import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from dofbook.datasets import DATASET_NAMES
from dofbook.errors import InputError
from dofbook.experiments.config import (
    CellConfig,
    SweepConfig,
    TaskConfig,
    canonical_json,
    cell_from_json,
    cell_kind,
)
from dofbook.experiments.cuts import CutCell
from dofbook.experiments.options import PROFILES, fit_dims, make_sweep, octaves
from dofbook.experiments.paper import PAPER_FIGURES, paper_figure, table_1_sweeps
from dofbook.experiments.spectra import SpectrumCell
from dofbook.methods import (
    FullSpace,
    LotterySubspace,
    LotteryTicket,
    RandomAffine,
    RandomPruning,
    methods,
)
from dofbook.networks import NETWORK_NAMES
from dofbook.training.config import default_epochs, follow_convention
from dofbook.training.optimizers import OptimizerConfig

ROOT = Path(__file__).parents[1]
TASK = TaskConfig(network="mlp")

unit = st.floats(0, 1, exclude_max=True)
positive = st.floats(0, 1e6, exclude_min=True)
optimizers = st.builds(
    OptimizerConfig,
    name=st.sampled_from(["adam", "momentum"]),
    learning_rate=positive,
    b1=unit,
    b2=unit,
    eps=positive,
    momentum=unit,
    bias_correction=st.sampled_from(["textbook", "constant"]),
)
sizes = st.none() | st.integers(1, 10**6)
tasks = st.builds(
    TaskConfig,
    dataset=st.sampled_from(DATASET_NAMES),
    network=st.sampled_from(NETWORK_NAMES),
    pooling=st.sampled_from(["max", "average"]),
    train_size=sizes,
    test_size=sizes,
    epochs=sizes,
    batch_size=st.integers(1, 10**5),
    checkpoints_per_epoch=st.integers(1, 100),
    optimizer=optimizers,
    burn_in_optimizer=optimizers,
    extra_burn_in_step=st.integers(0, 1),
    linearized_at=st.none() | st.integers(0, 10**4),
)
seeds = st.lists(st.integers(0, 2**31), min_size=1, max_size=5, unique=True).map(tuple)
steps = st.integers(0, 1000)
ways = st.one_of(
    st.builds(
        RandomAffine,
        t=steps,
        directions=st.sampled_from(["gaussian", "sparse", "fastfood", "hadamard"]),
        nested=st.booleans(),
    ),
    st.builds(
        LotterySubspace,
        t=steps,
        basis=st.sampled_from(["increments", "centred", "uncentred"]),
        spacing=st.integers(1, 50),
        trajectory_steps=sizes,
        extra_first_step=st.integers(0, 1),
    ),
    st.builds(
        LotteryTicket,
        t=steps,
        pruning_epochs=st.integers(1, 50),
        iterations=st.integers(1, 50),
        retraining=st.sampled_from(["common", "released_code"]),
        weight_decay=st.floats(0, 1),
    ),
    st.builds(
        RandomPruning,
        t=steps,
        nested=st.booleans(),
        retraining=st.sampled_from(["common", "released_code"]),
    ),
)
training_cells = st.one_of(
    st.builds(CellConfig, task=tasks, method=ways, d=st.integers(1, 10**6), seeds=seeds),
    st.builds(CellConfig, task=tasks, method=st.just(FullSpace()), d=st.none(), seeds=seeds),
)
other_cells = st.one_of(
    st.builds(
        CutCell,
        task=tasks,
        seeds=seeds,
        optimum_steps=st.integers(1, 10**4),
        grid=st.integers(2, 99),
    ),
    st.builds(
        SpectrumCell,
        task=tasks,
        seeds=seeds,
        spacing=st.integers(1, 99),
        steps=sizes,
        extra_first_step=st.integers(0, 1),
    ),
)
cells = training_cells | other_cells


@given(cells)
def test_a_cell_survives_json(cell):
    text = canonical_json(cell)
    assert cell_from_json(text) == cell
    assert canonical_json(cell_from_json(text)) == text
    assert cell.name == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert "\n" not in text
    assert list(json.loads(text)) == sorted(json.loads(text))


@given(cells, cells)
def test_equal_names_mean_equal_cells(one, other):
    assert (one.name == other.name) == (one == other)


VALUES = {
    "t": (0, 5),
    "directions": ("gaussian", "hadamard"),
    "directions_seed": (None, 3),
    "nested": (False, True),
    "basis": ("increments", "centred"),
    "spacing": (5, 6),
    "trajectory_steps": (6, 7),
    "extra_first_step": (0, 1),
    "pruning_epochs": (2, 3),
    "iterations": (1, 2),
    "retraining": ("common", "released_code"),
    "weight_decay": (1e-4, 0.0),
    "task": (TASK, replace(TASK, batch_size=99)),
    "seeds": ((0,), (1,)),
    "d": (4, 5),
    "optimum_steps": (9, 8),
    "grid": (21, 22),
    "steps": (6, 7),
}


def changed(made):
    """Change each field of a configuration, one at a time."""
    for field in fields(made):
        now = getattr(made, field.name)
        others = [v for v in VALUES.get(field.name, ()) if v != now]
        if others and (field.name, now) != ("d", None):
            yield replace(made, **{field.name: others[0]})


@given(training_cells)
def test_every_field_is_in_the_hash(cell):
    others = list(changed(cell))
    if not isinstance(cell.method, FullSpace):
        others += [replace(cell, method=method) for method in changed(cell.method)]
        assert len(others) == 3 + len(fields(cell.method))
    assert len({one.name for one in [cell, *others]}) == len(others) + 1


@given(other_cells)
def test_every_field_of_a_cell_of_another_kind_is_in_the_hash(cell):
    others = list(changed(cell))
    assert len(others) == len(fields(cell))
    assert len({one.name for one in [cell, *others]}) == len(others) + 1


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"schema": None},
        {"color": "red"},
        {"seeds": []},
        {"method": "lottery"},
        {"task": {"dataset": "digits"}},
    ],
)
def test_another_json_is_refused(change):
    raw = {**json.loads(canonical_json(CellConfig(task=TaskConfig()))), **change}
    with pytest.raises(InputError):
        cell_from_json(json.dumps(raw))


@given(
    dims=st.lists(st.integers(1, 5000), min_size=1, max_size=6, unique=True).map(tuple),
    burn_in=st.lists(steps, min_size=1, max_size=4, unique=True).map(tuple),
    runs=st.integers(1, 4),
    first=st.integers(0, 100),
    nested=st.booleans(),
)
def test_a_sweep_is_the_baseline_and_the_whole_grid(dims, burn_in, runs, first, nested):
    ways = tuple(RandomAffine(t, nested=nested) for t in burn_in)
    sweep = SweepConfig(dims=dims, methods=ways, runs=runs, first_seed=first)
    found = sweep.cells()
    grid = [cell for cell in found if isinstance(cell.method, RandomAffine)]
    assert {(cell.d, cell.method.t) for cell in grid} == {(d, t) for d in dims for t in burn_in}
    assert len(grid) == len(dims) * len(burn_in)
    assert [cell.d for cell in grid] == sorted(cell.d for cell in grid)
    assert {cell.method.nested for cell in grid} == {nested}
    baseline = [cell for cell in found if isinstance(cell.method, FullSpace)]
    rates = [cell.task.optimizer.learning_rate for cell in baseline]
    assert rates == list(sweep.baseline_learning_rates)
    assert {cell.seeds for cell in found} == {tuple(range(first, first + runs))}
    assert len({cell.name for cell in found}) == len(found)


def test_the_paper_profile_is_the_papers_figure_2():
    """Sec. 2.2 and A.4: powers of two up to 4096, 10 runs, 3 epochs, t = 0, 4, 8, 16."""
    sweep = make_sweep("paper")
    assert sweep.dims == tuple(2**k for k in range(13))
    assert (sweep.runs, [method.t for method in sweep.methods]) == (10, [0, 4, 8, 16])
    assert (sweep.task.dataset, sweep.task.network, sweep.task.epochs) == ("mnist", "conv2", 3)
    assert (sweep.task.batch_size, sweep.task.train_size) == (128, None)
    assert len(sweep.cells()) == 13 * 4 + 2


def test_options_override_a_profile_and_resolve_epochs_afterwards():
    sweep = make_sweep("reduced", dataset="cifar10", dims=(3,), runs=1, baseline=False)
    assert sweep.task.epochs == default_epochs("cifar10", "conv2") == 4
    assert (sweep.dims, sweep.runs) == ((3,), 1)
    assert [method.t for method in sweep.methods] == [0, 4, 8, 16]
    assert all(isinstance(cell.method, RandomAffine) for cell in sweep.cells())
    assert (
        make_sweep("reduced").task.epochs == make_sweep("reduced", network="mlp").task.epochs == 20
    )
    assert make_sweep("reduced", epochs=2).task.epochs == 2
    assert make_sweep("reduced", learning_rate=0.1).task.optimizer.learning_rate == 0.1
    assert make_sweep() == SweepConfig()


def test_the_conventions_differ_in_every_documented_option():
    paper, released = (
        make_sweep("paper", convention=name).task for name in ("paper", "released_code")
    )
    differing = {
        f.name for f in fields(TaskConfig) if getattr(paper, f.name) != getattr(released, f.name)
    }
    assert differing == {"pooling", "optimizer", "extra_burn_in_step"}
    assert paper == make_sweep("paper").task == follow_convention(released, "paper")
    mixed = make_sweep("paper", convention="released_code", pooling="max").task
    assert mixed == replace(released, pooling="max")


@given(st.integers(1, 50), st.integers(0, 5000), st.floats(1.01, 10))
def test_octaves_are_increasing_within_bounds_and_dense_enough(smallest, extra, factor):
    dims = octaves(smallest + extra, smallest, factor)
    assert dims[0] == smallest
    assert dims[-1] <= smallest + extra
    assert all(a < b <= (a + 0.5) * factor + 0.5 for a, b in zip(dims, dims[1:], strict=False))
    assert (dims[-1] + 0.5) * factor >= smallest + extra + 0.5 - 1e-6


@pytest.mark.parametrize(
    "options",
    [
        {"profile": "huge"},
        {"convention": "mine"},
        {"colour": "red"},
        {"dims": ()},
        {"dims": [1, 1]},
        {"dims": (1.0,)},
        {"dims": (True,)},
        {"runs": 0},
        {"learning_rate": float("nan")},
        {"pooling": "median", "convention": "paper"},
        {"nested": "yes"},
    ],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(InputError):
        make_sweep(**options).cells()


def test_profiles_are_valid():
    for name in PROFILES:
        assert make_sweep(name).cells()


def test_lists_from_notebooks_are_taken_for_tuples():
    sweep = make_sweep("reduced", dims=[2, 4], burn_in_steps=[0])
    assert sweep == make_sweep("reduced", dims=(2, 4), burn_in_steps=(0,))


def test_published_cells_keep_their_hashes():
    """New optional fields must not rename cells that are published already."""
    published = sorted((ROOT / "results").glob("*.provenance.json"))
    assert published
    for path in published:
        for name, raw in json.loads(path.read_text())["cells"].items():
            assert cell_from_json(json.dumps(raw)).name == name


@pytest.mark.parametrize(
    "method",
    [
        RandomAffine(directions="fastfood"),
        LotterySubspace(basis="centred"),
        LotterySubspace(4),
        LotteryTicket(iterations=3),
        RandomPruning(),
    ],
)
def test_cells_of_every_method_survive_json(method):
    cell = CellConfig(task=TASK, method=method, seeds=(2, 5))
    assert cell_from_json(canonical_json(cell)) == cell
    plain = replace(cell, method=RandomAffine(method.t))
    assert cell.name != plain.name


def test_a_default_and_its_name_are_one_cell():
    named = LotterySubspace(0, "increments", 5, None, 0)
    one, other = (CellConfig(task=TASK, method=m) for m in (named, LotterySubspace()))
    assert one == other
    assert one.name == other.name
    plain, said = (
        TaskConfig(), TaskConfig(objective="classification", solver="descent", linearized_at=None)
    )  # fmt: skip
    assert CellConfig(task=plain).name == CellConfig(task=said).name


def test_kinds_are_told_apart():
    assert cell_kind("cut") is CutCell and cell_kind("spectrum") is SpectrumCell


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "full", "directions": "sparse"}, "takes no directions"),
        ({"method": "lottery_subspace", "nested": True}, "takes no nested"),
        ({"method": "affine", "basis": "centred"}, "takes no basis; it belongs to lottery_subsp"),
        ({"method": "affine", "iterations": 2}, "takes no iterations; it belongs to lottery_tick"),
        ({"method": "random_pruning", "iterations": 2}, "takes no iterations"),
        (
            {"method": "affine", "directions": "dense"},
            "allowed: 'gaussian', 'sparse', 'fastfood', 'hada",
        ),
        ({"method": "tickets"}, "allowed: affine, full"),
        ({"method": "affine", "first_seed": 2**32 - 3}, "largest seed is 4294967296"),
    ],
)
def test_what_does_not_belong_to_a_method_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        make_sweep(runs=4, **options)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"task": None}, "task is None"),
        ({"method": "affine"}, "must be a Method"),
        ({"method": FullSpace(), "d": 4}, "d must be None for full training"),
        ({"d": None}, "d must be None for full training"),
        ({"d": 0}, "d is 0"),
        ({"seeds": (2**32,)}, "largest seed is 4294967296"),
        ({"seeds": (0, 0)}, "must differ"),
        ({"seeds": [0]}, "non-empty tuple"),
    ],
)
def test_bad_cells_are_refused(fields, said):
    with pytest.raises(InputError, match=said):
        CellConfig(**{"task": TASK, "d": 4, **fields})


def test_options_by_name_reach_the_method():
    sweep = make_sweep(method="lottery_subspace", basis="centred", dims=[1, 2], baseline=False)
    assert {cell.method.basis for cell in sweep.cells()} == {"centred"}
    sweep = make_sweep(method="lottery_ticket", iterations=2, convention="released_code")
    ticket = sweep.cells()[-1].method
    assert (ticket.iterations, ticket.retraining) == (2, "released_code")
    pruned = json.loads(canonical_json(make_sweep(method="random_pruning").cells()[-1]))["pruning"]
    assert pruned["criterion"] == "random"
    assert all(cell.method == FullSpace() for cell in make_sweep(method="full").cells())


def test_the_paper_s_figures_have_the_paper_s_cells():
    cells = paper_figure("2-mnist", profile="paper").cells()
    affine = [cell for cell in cells if isinstance(cell.method, RandomAffine)]
    assert {cell.d for cell in affine} == {2**i for i in range(13)}
    assert {cell.method.t for cell in affine} == {0, 4, 8, 16}
    assert {len(cell.seeds) for cell in cells} == {10}
    assert {cell.task.epochs for cell in cells} == {3}
    assert {cell.name for cell in cells} == {cell.name for cell in make_sweep("paper").cells()}
    together = paper_figure("6-mnist-conv2").cells()
    ours = {"affine", "full", "lottery_subspace", "lottery_ticket", "random_pruning"}
    assert {c.method.name for c in together} == ours <= set(methods())
    assert len({cell.name for cell in together}) == len(together)
    assert set(paper_figure("8").cells()) > set(paper_figure("8-cifar10").cells())
    with pytest.raises(InputError, match="figure is '13'"):
        paper_figure("13")
    with pytest.raises(InputError, match="takes no profile, runs"):
        paper_figure("2", profile="reduced", runs=3)


def test_figures_9_10_and_11_are_sweeps_like_the_others():
    nine = paper_figure("9-mnist").cells()
    assert {(c.task.linearized_at, c.task.solver) for c in nine} == {
        (None, "descent"),
        (1407, "descent"),
    }
    assert all(c.method == RandomAffine(nested=True) and len(c.seeds) == 1 for c in nine)
    assert [type(c) for c in paper_figure("9c-mnist").cells()] == [CutCell]
    (spectra,) = paper_figure("10-mnist-conv2").cells()
    assert spectra == SpectrumCell(task=TaskConfig("mnist"), seeds=tuple(range(10)))
    assert len(paper_figure("10").cells()) == 10
    for entry in PAPER_FIGURES.values():
        assert all(cell_from_json(canonical_json(cell)) == cell for cell in entry["cells"][:3])


@pytest.mark.parametrize("profile", ["reduced", "paper"])
def test_table_1_has_every_other_method_from_w0_and_from_w16(profile):
    cells = [cell for sweep in table_1_sweeps(profile) for cell in sweep.cells()]
    assert {(cell.method.name, cell.method.t) for cell in cells} == {
        (method, t)
        for method in ("lottery_subspace", "lottery_ticket", "random_pruning")
        for t in (0, 16)
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "random_pruning", "pruning_epochs": 7}, "takes no pruning_epochs"),
        ({"method": "random_pruning", "weight_decay": 0.5}, "takes no weight_decay"),
        ({"method": "full", "dims": (7,), "learning_rate": 0.3}, "takes no dims, learning_rate"),
        ({"method": "full", "burn_in_steps": (16,)}, "takes no burn_in_steps"),
        ({"first_seed": 2**32 - 2, "runs": 3}, "below 2..32"),
    ],
)
def test_options_that_would_do_nothing_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        make_sweep(**options)


def test_a_sweep_keeps_the_dimensions_that_its_task_has_room_for():
    ticket = make_sweep(network="mlp", method="lottery_ticket", dims=[64, 2410, 2411, 4096])
    assert fit_dims(ticket).dims == (64, 2410)
    short = make_sweep(network="mlp", method="lottery_subspace", dims=[1, 4, 5, 24], epochs=2)
    assert fit_dims(short).dims == (1, 4)  # 24 steps, stored every 5
    with pytest.raises(InputError, match="d is 5, but a trajectory of 24 steps"):
        fit_dims(replace(short, dims=(5, 24)))
