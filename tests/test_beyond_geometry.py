"""The experiments of the chapter `beyond_geometry`: against closed forms, and their judges."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from beyond import confined, early_path, pruning, randomness, width
from ledger import beyond_geometry as judges
from ledger.ledger import judge_questions
from ledger.pages import ledger_html, verdict_text
from ledger.panels import ANSWERS
from ledger.questions import QUESTIONS

import dofbook as dof
from dofbook.datasets import Dataset
from dofbook.experiments.config import canonical_json, cell_from_json
from dofbook.experiments.published import publish
from dofbook.geometry.cones import ball_angle
from dofbook.networks import flatten
from dofbook.training import Task, regression
from dofbook.training.config import TaskConfig

MINE = [q.id for q in QUESTIONS if q.page == "beyond_geometry"]
D = 40


def linear_task(scales, seed=0, batch_size=D):
    """Make a task whose loss is sum scales_i^2 (w_i - target_i)^2, from w0 = 0."""
    x = np.sqrt(D) * np.diag(scales).astype(np.float32)
    target = np.random.default_rng(seed).standard_normal(D).astype(np.float32)
    y = x @ target[:, None]
    data = Dataset.from_arrays(x, y, x, y, name="quadratic")
    network = flatten((lambda key: jnp.zeros(D), lambda w, x: (x @ w)[:, None]), data.x_train)
    return Task(network, data, objective=regression, batch_size=batch_size, epochs=1), target


@dataclass(frozen=True)
class Small:
    """The fields of a WidthCell that its searches read."""

    level: float
    bracket: tuple = (1, D)
    draw: int = 0
    starts: int = 1
    steps: int = 100


def test_the_largest_cosine_with_a_ball_is_that_with_its_cone():
    task, target = linear_task(np.ones(D))
    R = np.linalg.norm(target)
    for share, draw in ((0.3, 0), (0.5, 1), (0.8, 2)):
        cell = Small(level=(share * R) ** 2, draw=draw)
        g = np.asarray(jax.random.normal(width.draws(0, cell, 0), (D,)))
        between = np.arccos(g @ target / np.linalg.norm(g) / R)
        exact = np.cos(max(between - ball_angle(share * R, R), 0.0))
        cosine, loss = width.largest_cosine(task, 0, cell)
        assert loss <= cell.level * (1 + 1e-6)
        assert exact - 0.02 < cosine <= exact + 1e-4


def test_the_first_hit_of_a_quadratic_is_that_of_least_squares():
    from dofbook import subspaces

    scales = np.geomspace(0.2, 1, D)
    task, target = linear_task(scales)
    for level, draw in ((1.0, 0), (3.0, 1)):
        cell = Small(level=level, draw=draw)
        rows = np.asarray(
            subspaces.directions("gaussian", width.draws(0, cell, 1), D, D).rows, float
        )
        least = [
            np.linalg.lstsq((rows[:d] * scales).T, scales * target, rcond=None)[1]
            for d in range(1, D)
        ]
        exact = 1 + int(np.argmax(np.array([value[0] for value in least]) <= level))
        assert abs(width.first_hit(task, 0, cell) - exact) <= 1


def test_falls_in_the_top_space_and_off_it_add_up_on_a_quadratic():
    task, _ = linear_task(np.concatenate([np.full(3, 2.0), np.linspace(0.1, 0.5, D - 3)]))
    cell = confined.ConfinedCell(
        task=TaskConfig("digits", "mlp"), t=1, steps=6, every=3, top=3, images=D, learning_rate=0.02
    )
    rows = pd.concat([pd.DataFrame(part).assign(seed=0) for part in cell.parts(task, 0)])
    shares = confined.falls(rows)
    assert rows["update"].unique().tolist() == [0, 3, 6]
    assert shares["top"].item() + shares["rest"].item() == pytest.approx(1, abs=1e-4)
    assert 0.05 < shares["rest"].item() < 0.95


def test_the_curvature_counts_every_dimension_and_the_distance_what_is_pruned():
    task = TaskConfig("digits", "mlp")
    cell = pruning.CurvatureCell(task=task, pruning_epochs=1, images=50, top=3, steps=4)
    made = dof.training.make_task(task)
    rows = pd.DataFrame(next(cell.parts(made, 0)))
    spectrum, distance = (rows[rows.part == part] for part in ("spectrum", "distance"))
    assert spectrum.y.sum() == pytest.approx(2410)
    w = np.sort(np.abs(dof.LotteryTicket(pruning_epochs=1).trained(made, 0)))
    for k, R in zip(distance.x, distance.y, strict=True):
        assert np.linalg.norm(w[: 2410 - int(k)]) == pytest.approx(R, rel=1e-4)


def curvature(q, count=1000, loss=0.1):
    """Tabulate equal curvatures 1 and weights of equal size: r^2 = q R^2 at a loss of ``loss``."""
    k = np.unique(np.geomspace(1, count, 200).round())
    R = np.sqrt(2 * loss / q * (1 - k / count))
    rows = [
        ("spectrum", 1.0, float(count)),
        *(("distance", *pair) for pair in zip(k, R, strict=True)),
    ]
    shared = {"D": count, "trained_loss": 0.0, "seed": 0}
    return pd.DataFrame(rows, columns=["part", "x", "y"]).assign(**shared)


@pytest.mark.parametrize("q", [0.1, 1.0, 5.0])
def test_the_pruning_limit_of_equal_curvatures(q):
    exact = 1000 * (1 + q / 2 - math.sqrt(q + q**2 / 4))
    assert pruning.least_weights(curvature(q), 0.1) == pytest.approx(exact, rel=0.01)
    assert pruning.least_weights(curvature(q), 0.0) == math.inf


def test_measured_weights_are_where_a_point_is_lost():
    runs = pd.DataFrame({
        "d": [64, 128, 256, 512], "best_train_accuracy": [0.5, 0.96, 0.98, 0.97],
        "best_train_loss": [2.0, 0.2, 0.1, 0.15],
    })  # fmt: skip
    k, loss = pruning.measured_weights(runs)
    assert k == pytest.approx(128 * 2**0.5) and loss == pytest.approx(0.15)


def test_early_directions_are_those_of_the_path_s_beginning():
    task = Task("mlp", "digits", epochs=2)
    early = early_path.first_part(0.5, task.steps, 2)
    assert early.trajectory_steps == 12 and early.spacing == 5
    whole = dof.LotterySubspace()
    np.testing.assert_array_equal(early.points(task.steps), whole.points(task.steps)[:2])
    assert early_path.first_part(0.02, 1407, 16).spacing == 1


def early_runs(shares):
    rows = [("affine", "", 0.2)]
    for share, value in shares.items():
        rows.append(("lottery_subspace", early_path.first_part(share, 1407, 16).variant, value))
    frames = [
        pd.DataFrame(rows, columns=["method", "variant", "best_train_accuracy"]).assign(seed=s)
        for s in range(3)
    ]
    return pd.concat(frames).assign(d=16, step=1407)


def test_whose_randomness_is_found_by_bisection_as_by_a_whole_grid(tmp_path):
    task = TaskConfig("digits", "mlp", train_size=200, test_size=50, epochs=4)
    config = randomness.crossed(task, (4, 16, 64, 256), 2, 2, level=0.5)
    hits = randomness.search(config, tmp_path)
    found = [c for c in config.cells() if (tmp_path / f"{c.name}.parquet").exists()]
    runs = dof.experiments.tables.table(dof.experiments.Store(tmp_path), [c.name for c in found])
    read = randomness.first_hits(runs, config.grid, level=0.5)
    merged = hits.merge(read, on=["seed", "chain"])
    assert len(hits) == 4 and (merged.log2_hit_x == merged.log2_hit_y).all()


def test_variance_is_split_between_initializations_and_chains():
    rng = np.random.default_rng(0)
    start, chain = rng.normal(0, 0.3, (400, 1)), rng.normal(0, 0.1, (400, 6))
    seed, column = np.indices((400, 6)).reshape(2, -1)
    hits = pd.DataFrame({"seed": seed, "chain": column, "log2_hit": (8 + start + chain).ravel()})
    parts = randomness.variances(hits)
    assert parts["degrees"] == 2000
    assert parts["within"] == pytest.approx(0.01, rel=0.1)
    assert parts["between"] == pytest.approx(0.09, rel=0.2)


@pytest.mark.parametrize(
    "cell",
    [width.wanted()[0], confined.published()[0], pruning.published()[0], early_path.published()[0],
     randomness.published()[0]],
)  # fmt: skip
def test_cells_are_read_back(cell):
    assert cell_from_json(canonical_json(cell)) == cell


def test_the_published_lists_are_those_of_the_criteria():
    assert len(width.wanted()) == 60 and {c.level for c in width.wanted()} == {0.24, 0.5, 1.0}
    search = randomness.asked()
    assert (len(search.sweep.methods), search.sweep.runs) == judges.LEAST["randomness"][::-1]
    assert search.grid[0] == 128 and search.grid[-1] == 1024 and len(search.grid) == 49
    assert all(len(c.seeds) == 3 and c.d == 16 for c in early_path.published())
    assert [len(x.published()) for x in (confined, pruning)] == [10, 5]


# --- judges ---------------------------------------------------------------------------------------


def put(folder, name, rows):
    publish(folder / f"{name}.parquet", pa.Table.from_pandas(rows, preserve_index=False), {})


def width_rows(hit, draws=20):
    cosine = np.sqrt(1 - 100 / 2410) + 1e-4 * np.resize([-1, 1], draws)
    hits = hit + np.resize([-3.0, 3.0], draws)
    rows = {"draw": range(draws), "level": 0.24, "D": 2410, "cosine": cosine, "d_hit": hits}
    return pd.DataFrame(rows)


def confined_rows(top, rest):
    rows = [
        (seed, arm, update, 1.0 - update * (fall + 0.01 * seed))
        for seed in range(10)
        for arm, fall in (("all", 0.5), ("top", top), ("rest", rest))
        for update in (0, 1)
    ]
    return pd.DataFrame(rows, columns=["seed", "arm", "update", "mean_loss"])


def crossed_rows(within):
    grid, rows, rng = randomness.asked().grid, [], np.random.default_rng(1)
    for seed in range(10):
        for chain in range(6):
            at = np.searchsorted(grid, 400 * 2 ** (within * rng.standard_normal()))
            for point, value in ((at - 1, 0.89), (at, 0.91)):
                rows.append((f"directions seed {chain}", seed, grid[point], value))
    return pd.DataFrame(rows, columns=["variant", "seed", "d", "best_train_accuracy"])


TABLES = {
    "whose-randomness": ("beyond_whose_randomness", crossed_rows(0.05), crossed_rows(0.3)),
    "equality-for-a-network": ("beyond_width", width_rows(140.0), width_rows(105.0)),
    "early-path": (
        "beyond_early_path", early_runs({0.1: 0.97, 1.0: 0.98}), early_runs({0.1: 0.7, 1.0: 0.98}),
    ),
    "top-hessian-space": ("beyond_confined", confined_rows(0.1, 0.5), confined_rows(0.5, 0.2)),
}  # fmt: skip


@pytest.mark.parametrize("question", TABLES)
def test_questions_hold_or_fail_by_their_tables(question, tmp_path):
    name, good, bad = TABLES[question]
    for rows, outcome in ((good, "holds"), (bad, "fails")):
        put(tmp_path, name, rows)
        (finding,) = ANSWERS[question](tmp_path)
        assert (finding.outcome, bool(finding.measured)) == (outcome, True)


@pytest.mark.parametrize("shift, outcome", [(0.0, "holds"), (2.0, "fails")])
def test_the_pruning_limit_is_compared_with_tickets(shift, outcome, tmp_path):
    q = 1.0
    limit = 1000 * (1 + q / 2 - math.sqrt(q + q**2 / 4))
    d = limit * 2.0 ** (np.array([-0.5, 0.5, 1.5]) - shift)
    tickets = pd.DataFrame({
        "d": d, "best_train_accuracy": [0.96, 0.98, 0.975], "best_train_loss": 0.1,
        "method": "lottery_ticket", "burn_in_steps": 0, "step": 1, "variant": "",
    })  # fmt: skip
    put(tmp_path, "mnist_conv2", pd.concat([tickets.assign(seed=s) for s in range(5)]))
    put(tmp_path, "beyond_pruning", pd.concat([curvature(q).assign(seed=s) for s in range(5)]))
    (finding,) = ANSWERS["pruning-limit"](tmp_path)
    assert finding.outcome == outcome


@pytest.mark.parametrize("question", TABLES)
def test_too_few_draws_or_seeds_are_not_run(question, tmp_path):
    name, rows, _ = TABLES[question]
    few = "draw" if question == "equality-for-a-network" else "seed"
    put(tmp_path, name, rows[rows[few] < 2])
    (finding,) = ANSWERS[question](tmp_path)
    assert finding.outcome == "not run" and finding.note


def test_a_chain_beyond_its_bracket_is_not_judged(tmp_path):
    rows = width_rows(140.0)
    rows.loc[0, "d_hit"] = width.BRACKETS[0.24][1]
    put(tmp_path, "beyond_width", rows)
    assert ANSWERS["equality-for-a-network"](tmp_path)[0].outcome == "not run"


def test_the_mean_length_takes_the_noise_of_lengths_out_of_the_width():
    found = judges.width_ratio(width_rows(120.0), 0.24, 0.95)
    assert found["room"].value == pytest.approx(100, abs=1)
    assert found["room"].lower < found["room"].value < found["room"].upper
    assert found["ratio"].value == pytest.approx(1.2, abs=0.02)


def test_without_tables_every_question_says_so(tmp_path):
    put(tmp_path, "other", pd.DataFrame({"x": [1]}))
    judged = {j.criterion.id: j for j in judge_questions(tmp_path) if j.criterion.id in MINE}
    assert list(judged) == MINE
    for judgement in judged.values():
        assert verdict_text(judgement) == "not run"
        assert "is not published" in judgement.findings[0].note
    html = ledger_html(judge_questions(tmp_path), tmp_path)
    assert all(f'id="{question}"' in html for question in MINE)
