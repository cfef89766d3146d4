"""Configurations: round trips, hashes, and what the named sweeps contain."""

import hashlib
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dofbook.datasets import NAMES as DATASETS
from dofbook.errors import InputError
from dofbook.experiments.config import (
    CellConfig,
    Method,
    SweepConfig,
    TaskConfig,
    canonical_json,
    cell_from_json,
    default_epochs,
    follow_convention,
)
from dofbook.experiments.profiles import (
    PROFILES,
    make_sweep,
    octaves,
    paper_figure,
    table_1_sweeps,
)
from dofbook.methods.pruning import PruningConfig
from dofbook.methods.trajectories import LotteryConfig
from dofbook.networks import NAMES as NETWORKS
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
    dataset=st.sampled_from(DATASETS),
    network=st.sampled_from(NETWORKS),
    pooling=st.sampled_from(["max", "average"]),
    train_size=sizes,
    test_size=sizes,
    epochs=sizes,
    batch_size=st.integers(1, 10**5),
    checkpoints_per_epoch=st.integers(1, 100),
    optimizer=optimizers,
    burn_in_optimizer=optimizers,
    extra_burn_in_step=st.integers(0, 1),
)
seeds = st.lists(st.integers(0, 2**31), min_size=1, max_size=5, unique=True).map(tuple)
steps = st.integers(0, 1000)
cells = st.one_of(
    st.builds(
        CellConfig,
        task=tasks,
        burn_in_steps=steps,
        d=st.integers(1, 10**6),
        seeds=seeds,
        nested=st.booleans(),
    ),
    st.builds(CellConfig, task=tasks, method=st.just("full"), d=st.none(), seeds=seeds),
)


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


@given(cells)
def test_every_field_is_in_the_hash(cell):
    changes = {
        "burn_in_steps": cell.burn_in_steps + 1,
        "seeds": (*cell.seeds, 2**32 - 1),
        "nested": not cell.nested,
        "task": replace(cell.task, batch_size=cell.task.batch_size + 1),
    }
    names = {replace(cell, **{name: value}).name for name, value in changes.items()}
    assert len(names | {cell.name}) == len(changes) + 1


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
    sweep = SweepConfig(
        dims=dims, burn_in_steps=burn_in, runs=runs, first_seed=first, nested=nested
    )
    found = sweep.cells()
    grid = [cell for cell in found if cell.method == "affine"]
    assert {(cell.d, cell.burn_in_steps) for cell in grid} == {
        (d, t) for d in dims for t in burn_in
    }
    assert len(grid) == len(dims) * len(burn_in)
    assert [cell.d for cell in grid] == sorted(cell.d for cell in grid)
    baseline = [cell for cell in found if cell.method == "full"]
    rates = [cell.task.optimizer.learning_rate for cell in baseline]
    assert rates == list(sweep.baseline_learning_rates)
    assert {cell.seeds for cell in found} == {tuple(range(first, first + runs))}
    assert len({cell.name for cell in found}) == len(found)


def test_the_paper_profile_is_the_papers_figure_2():
    """Sec. 2.2 and A.4: powers of two up to 4096, 10 runs, 3 epochs, t = 0, 4, 8, 16."""
    sweep = make_sweep("paper")
    assert sweep.dims == tuple(2**k for k in range(13))
    assert (sweep.runs, sweep.burn_in_steps) == (10, (0, 4, 8, 16))
    assert (sweep.task.dataset, sweep.task.network, sweep.task.epochs) == ("mnist", "conv2", 3)
    assert (sweep.task.batch_size, sweep.task.train_size) == (128, None)
    assert len(sweep.cells()) == 13 * 4 + 2


def test_options_override_a_profile_and_resolve_epochs_afterwards():
    sweep = make_sweep("reduced", dataset="cifar10", dims=(3,), runs=1, baseline=False)
    assert sweep.task.epochs == default_epochs("cifar10", "conv2") == 4
    assert (sweep.dims, sweep.runs, sweep.burn_in_steps) == ((3,), 1, (0, 4, 8, 16))
    assert all(cell.method == "affine" for cell in sweep.cells())
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
        for name, raw in json.loads(path.read_text()).get("cells", {}).items():
            if "method" not in raw:  # cells of other experiments
                continue
            assert cell_from_json(json.dumps(raw)).name == name


@pytest.mark.parametrize(
    "cell",
    [
        CellConfig(TASK, method="affine", directions="fastfood"),
        CellConfig(TASK, method="lottery_subspace", lottery=LotteryConfig(basis="centred")),
        CellConfig(TASK, method="lottery_subspace", burn_in_steps=4),
        CellConfig(TASK, method="lottery_ticket", pruning=PruningConfig(iterations=3)),
        CellConfig(TASK, method="random_pruning", seeds=(2, 5)),
    ],
)
def test_cells_of_every_method_survive_json(cell):
    assert cell_from_json(canonical_json(cell)) == cell
    plain = CellConfig(TASK, seeds=cell.seeds, burn_in_steps=cell.burn_in_steps)
    assert cell.name != plain.name


def test_a_default_and_its_name_are_one_cell():
    named = CellConfig(TASK, method="lottery_subspace", lottery=LotteryConfig())
    assert named == CellConfig(TASK, method="lottery_subspace")
    assert named.name == CellConfig(TASK, method="lottery_subspace").name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "full", "directions": "sparse"}, "does not take directions"),
        ({"method": "lottery_subspace", "nested": True}, "does not take nested"),
        ({"method": "affine", "lottery": LotteryConfig()}, "does not take lottery"),
        ({"method": "affine", "pruning": PruningConfig()}, "does not take pruning"),
        ({"method": "random_pruning", "pruning": PruningConfig()}, "must be by 'random'"),
        ({"method": "affine", "directions": "dense"}, "allowed: sparse, fastfood, hadamard"),
        ({"method": "tickets"}, "allowed: affine, full"),
        ({"method": "affine", "seeds": (2**32,)}, "largest seed is 4294967296"),
    ],
)
def test_what_does_not_belong_to_a_method_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        CellConfig(TASK, d=None if options["method"] == "full" else 4, **options)


def test_options_by_name_reach_the_method():
    sweep = make_sweep(method="lottery_subspace", basis="centred", dims=[1, 2], baseline=False)
    assert {cell.lottery.basis for cell in sweep.cells()} == {"centred"}
    sweep = make_sweep(method="lottery_ticket", iterations=2, convention="released_code")
    ticket = sweep.cells()[-1].pruning
    assert (ticket.iterations, ticket.schedule) == (2, "released_code")
    assert make_sweep(method="random_pruning").cells()[-1].pruning.criterion == "random"
    assert all(cell.method == "full" for cell in make_sweep(method="full").cells())


def test_the_paper_s_figures_have_the_paper_s_cells():
    cells = paper_figure("2-mnist", profile="paper").cells()
    affine = [cell for cell in cells if cell.method == "affine"]
    assert {cell.d for cell in affine} == {2**i for i in range(13)}
    assert {cell.burn_in_steps for cell in affine} == {0, 4, 8, 16}
    assert {len(cell.seeds) for cell in cells} == {10}
    assert {cell.task.epochs for cell in cells} == {3}
    assert {cell.name for cell in cells} == {cell.name for cell in make_sweep("paper").cells()}
    together = paper_figure("6-mnist-conv2").cells()
    assert {c.method for c in together} == set(get_args(Method))
    assert len({cell.name for cell in together}) == len(together)
    assert set(paper_figure("8").cells()) > set(paper_figure("8-cifar10").cells())
    with pytest.raises(InputError, match="figure is '13'"):
        paper_figure("13")
    with pytest.raises(InputError, match="takes no profile, runs"):
        paper_figure("2", profile="reduced", runs=3)


@pytest.mark.parametrize("profile", ["reduced", "paper"])
def test_table_1_has_every_other_method_from_w0_and_from_w16(profile):
    cells = [cell for sweep in table_1_sweeps(profile) for cell in sweep.cells()]
    assert {(cell.method, cell.burn_in_steps) for cell in cells} == {
        (method, t)
        for method in ("lottery_subspace", "lottery_ticket", "random_pruning")
        for t in (0, 16)
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "random_pruning", "pruning_epochs": 7}, "takes no training_epochs"),
        ({"method": "random_pruning", "weight_decay": 0.5}, "takes no training_epochs"),
        ({"method": "full", "dims": (7,), "learning_rate": 0.3}, "takes no dims, learning_rate"),
        ({"method": "full", "burn_in_steps": (16,)}, "takes no burn_in_steps"),
        ({"first_seed": 2**32 - 2, "runs": 3}, "below 2..32"),
    ],
)
def test_options_that_would_do_nothing_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        make_sweep(**options)
