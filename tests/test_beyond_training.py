"""What the chapter on training beyond the paper measures with, against closed forms and loops."""

import jax
import jax.numpy as jnp
import ledger.beyond_training
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from beyond import bits, blocks, characters, inside, labels, redrawn, sizes, two_solutions
from ledger.questions import QUESTIONS

import dofbook as dof
from dofbook import experiments, subspaces, training
from dofbook.errors import InputError
from dofbook.experiments.cell import run_cell
from dofbook.experiments.published import publish
from dofbook.keys import Role, run_key
from dofbook.training import TaskConfig

TASK = TaskConfig("digits", "mlp", epochs=1, train_size=300, test_size=100, batch_size=100)


@pytest.fixture(scope="module")
def task():
    return training.make_task(TASK)


# --- directions drawn anew ------------------------------------------------------------------------


def test_directions_never_redrawn_are_one_affine_subspace(task):
    key = jax.random.fold_in(run_key(1, Role.DIRECTIONS, 8), 0)
    space = dof.AffineSubspace(task.initialization(1), subspaces.hadamard(key, 8, task.network.D))
    w = redrawn.train_redrawn(task, 1, 8)
    expected = space.point(dof.train(task, space, 1).theta)
    np.testing.assert_allclose(w, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(w, redrawn.train_redrawn(task, 1, 8, every=task.steps))


def test_directions_drawn_at_every_step_are_others_and_start_adam_anew(task):
    """Adam's first step is the rate times the sign, so that every step has the same length."""
    moved = redrawn.train_redrawn(task, 1, 8, every=1) - task.initialization(1)
    parts = [
        subspaces.hadamard(
            jax.random.fold_in(run_key(1, Role.DIRECTIONS, 8), step), 8, task.network.D
        )
        for step in range(task.steps)
    ]
    basis = np.stack([row for A in parts for row in np.asarray(jax.vmap(A.lift)(np.eye(8)))])
    coordinates, rest, rank, _ = np.linalg.lstsq(basis.T, moved, rcond=None)
    assert rank == 8 * task.steps and rest.max(initial=0) < 1e-6
    np.testing.assert_allclose(np.abs(coordinates), 0.05, rtol=1e-3)


def test_low_rank_directions_change_matrices_by_low_rank_and_nothing_else(task):
    space = redrawn.low_rank(task, 0, rank=2)
    theta = jax.random.normal(jax.random.key(0), (space.d,))
    moved = space.point(theta) - space.offset
    for layer in task.network.layers:
        part = np.asarray(moved[layer.start : layer.stop]).reshape(layer.shape)
        if len(layer.shape) == 1:
            assert not part.any()
        else:
            assert np.linalg.matrix_rank(part.reshape(-1, layer.shape[-1]), tol=1e-4) == 2
    np.testing.assert_allclose((space.directions.rows**2).sum(1), 1, rtol=1e-5)


def test_a_cell_is_the_training_it_describes(task):
    rows = run_cell(redrawn.RedrawnCell(task=TASK, seeds=(1,), d=8, every=1))
    w = redrawn.train_redrawn(task, 1, 8, every=1)
    metrics = dict(zip(task.objective.metric_names, training.evaluate(task, w), strict=True))
    assert rows.train_loss[0] == pytest.approx(float(metrics["train_loss"]), rel=1e-6)
    assert (rows.d[0], rows.every[0], rows.directions[0]) == (8, 1, "redrawn")
    low = run_cell(redrawn.RedrawnCell(task=TASK, rank=1))
    assert (low.d[0], low.directions[0]) == (42, "low rank")
    with pytest.raises(InputError, match="d or rank"):
        redrawn.RedrawnCell(task=TASK, d=8, rank=1)


# --- training inside ------------------------------------------------------------------------------


def test_the_first_of_nested_directions_are_those_of_the_method(task):
    """The coordinates beyond d never move, so that one program serves every d."""
    method = dof.RandomAffine(directions="hadamard", nested=True)
    for d in (3, 8):
        theta = inside.train_to_end(task, inside.first_directions(task, 1, d), 1)
        expected = dof.train(task, method.subspace(task, 1, d), 1).theta
        np.testing.assert_allclose(theta[:d], expected, rtol=1e-4, atol=1e-6)
        assert not theta[d:].any()


def test_measured_is_evaluate_of_one_split(task):
    w = task.initialization(0)
    both = inside.measured(task, w, "train") | inside.measured(task, w, "test")
    assert tuple(both) == task.objective.metric_names
    np.testing.assert_allclose([*both.values()], training.evaluate(task, w), rtol=1e-6)


@pytest.mark.parametrize("answer", range(7))
def test_a_search_finds_the_first_that_reaches_a_level(answer):
    dims = [1, 2, 4, 8, 16, 32]
    tried = dict(inside.search(lambda d: float(d >= 2**answer), dims, level=1.0))
    reached = [d for d, value in tried.items() if value >= 1]
    assert min(reached, default=64) == 2**answer and len(tried) <= 3
    missed = [d for d, value in tried.items() if value < 1]
    assert answer == 0 or max(missed) == 2 ** (answer - 1)


# --- two solutions --------------------------------------------------------------------------------


def test_two_solutions_lie_in_two_subspaces_and_the_segment_joins_them(task):
    rows = run_cell(two_solutions.TwoSolutionsCell(task=TASK, d=64, points=3))
    first, second = two_solutions.solutions(task, 0, 64)
    ends = [inside.measured(task, w, "train")["train_loss"] for w in (first, second)]
    middle = inside.measured(task, (first + second) / 2, "train")["train_loss"]
    expected = [ends[0], middle, ends[1]]
    np.testing.assert_allclose(rows.train_loss, expected, rtol=1e-4)
    for number, w in enumerate((first, second)):
        key = jax.random.fold_in(run_key(0, Role.DIRECTIONS, 64), number)
        A = subspaces.hadamard(key, 64, task.network.D)
        moved = w - task.initialization(0)
        np.testing.assert_allclose(A.lift(A.project(moved)), moved, atol=1e-5)
    p, q = (np.asarray(inside.probabilities(task, w, chunk=30)) for w in (first, second))
    right = (p + q).argmax(1) == task.data.y_test
    assert rows.ensemble_accuracy[0] == pytest.approx(right.mean())
    assert rows.agreement[0] == pytest.approx((p.argmax(1) == q.argmax(1)).mean())


# --- tasks in blocks ------------------------------------------------------------------------------


def test_a_permuted_task_has_the_same_pixels_elsewhere_in_both_splits(task):
    one, two = (blocks.permuted(task, 0, number).data for number in (0, 1))
    old, new = (data.x_train.reshape(300, 64) for data in (task.data, one))
    came = [np.flatnonzero((old == column[:, None]).all(0)) for column in new.T]
    alone = [pixel for pixel, found in enumerate(came) if len(found) == 1]  # not a constant one
    assert len(alone) > 40 and any(came[pixel] != pixel for pixel in alone)
    for pixel in alone:
        moved = task.data.x_test.reshape(100, 64)[:, came[pixel][0]]
        np.testing.assert_array_equal(one.x_test.reshape(100, 64)[:, pixel], moved)
    assert (one.x_train != two.x_train).any()
    assert (blocks.permuted(task, 1, 0).data.x_train != one.x_train).any()


def test_protected_directions_are_orthogonal_to_the_basis_and_its_own_transpose(task):
    D, key = task.network.D, jax.random.key(0)
    basis = jnp.linalg.qr(jax.random.normal(key, (D, 5)))[0].T
    A = blocks.Beside(subspaces.hadamard(key, 6, D), basis)
    theta, g = jax.random.normal(key, (6,)), jax.random.normal(key, (D,))
    np.testing.assert_allclose(basis @ A.lift(theta), 0, atol=1e-5)
    assert float(A.project(g) @ theta) == pytest.approx(float(g @ A.lift(theta)), rel=1e-4)


def test_gradients_are_those_of_the_true_logits(task):
    w = task.initialization(0)
    found = blocks.gradients(task, w, 2)
    v = jax.random.normal(jax.random.key(1), w.shape) * 1e-3
    x, y = task.data.x_train[:2], task.data.y_train[:2]
    change = (task.network.apply(w + v, x) - task.network.apply(w - v, x))[np.arange(2), y] / 2
    np.testing.assert_allclose(found @ v, change, rtol=2e-2, atol=1e-5)


@pytest.mark.parametrize("protected", [0, 3])
def test_blocks_measure_every_task_after_every_training(protected):
    cell = blocks.BlocksCell(task=TASK, d=16, tasks=3, protected=protected)
    rows = run_cell(cell)
    pairs = list(zip(rows.after, rows.on, strict=True))
    assert pairs == [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)]
    assert rows.test_accuracy.between(0, 1).all() and rows.protected.unique() == [protected]


# --- bits, labels, sizes, text --------------------------------------------------------------------


def test_bits_are_those_of_the_network_trained_in_the_first_directions(task):
    rows = run_cell(bits.BitsCell(task=TASK, d=8, levels=(2, 4)))
    space = dof.RandomAffine(directions="hadamard", nested=True).subspace(task, 0, 8)
    found = bits.describe(task, space, dof.train(task, space).theta, 4)
    assert rows.bits[1] == pytest.approx(found.bits)
    assert rows.error[1] == pytest.approx(found.error, abs=1e-6)
    assert rows.bound[1] == pytest.approx(found.bound(), abs=1e-6)


def test_random_labels_replace_those_of_the_first_images_alone(task):
    true, random = (labels.first_images(task, 200, 0, random=r) for r in (False, True))
    np.testing.assert_array_equal(true.data.x_train, task.data.x_train[:200])
    np.testing.assert_array_equal(true.data.y_train, task.data.y_train[:200])
    np.testing.assert_array_equal(random.data.x_train, true.data.x_train)
    assert (random.data.y_train == true.data.y_train).mean() < 0.3
    assert len(np.unique(random.data.y_train)) == 10
    np.testing.assert_array_equal(random.data.y_test, task.data.y_test)


def test_searches_give_what_they_tried():
    rows = run_cell(labels.LabelsCell(task=TASK, images=100, level=0.2, least=512))
    assert rows.labels.unique() == ["true"] and set(rows.d) <= {512, 1024, 2048, 2410}
    rows = run_cell(sizes.SizesCell(task=TASK, width=5, depth=2, level=0.2, first=8, last=16))
    assert rows.D.unique() == [64 * 5 + 5 + 5 * 5 + 5 + 5 * 10 + 10]


def test_a_text_is_cut_into_windows_that_each_predict_the_next_character():
    data = characters.windows("to be or not " * 40, 5, 3, "hamlet", "typed")
    assert (data.x_train[:, 1:] == data.y_train[:, :-1]).all()
    assert (data.x_train[1:, 0] == data.y_train[:-1, -1]).all()
    letters = "".join(characters.ALPHABET[i] for i in data.x_train[0])
    assert letters == ("to be or not " * 40)[: characters.LENGTH]
    assert characters.descriptions().x_train.shape == (1024, characters.LENGTH)


def test_a_text_cell_falls_from_w0_to_full_training():
    cell = characters.text_cell(
        "descriptions", 1, dims=(256,), network="small_transformer", rates=(1e-2,)
    )
    rows = run_cell(cell).set_index("d").train_loss
    assert rows.iloc[-1] < rows[256] < rows[0]


def test_another_text_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no"):
        characters.shakespeare(str(tmp_path))
    (tmp_path / "shakespeare").mkdir()
    (tmp_path / "shakespeare" / "input.txt").write_text("To be, or not to be")
    with pytest.raises(InputError, match="another text"):
        characters.shakespeare(str(tmp_path))


# --- the judges -----------------------------------------------------------------------------------

SEEDS = (0, 1, 2)


def judged(question, folder, name, rows):
    """Publish a synthetic table, and judge the question by it."""
    publish(folder / f"{name}.parquet", pa.Table.from_pandas(pd.DataFrame(rows)), {})
    return ledger.beyond_training.ANSWERS[question](folder)


@pytest.mark.parametrize(
    ("question", "table"),
    [
        ("redrawn-directions", "beyond_redrawn"), ("two-solutions", "beyond_two_solutions"),
        ("tasks-in-blocks", "beyond_blocks"), ("bits-bound-the-error", "beyond_bits"),
        ("random-labels-cost-more", "beyond_labels"), ("size-of-the-model", "beyond_sizes"),
        ("text", "beyond_text"),
    ],
)  # fmt: skip
def test_with_a_seed_less_than_a_criterion_names_a_question_is_not_run(tmp_path, question, table):
    for name in ("mnist_conv2", "fashion_mnist_conv2"):
        for suffix in (".parquet", ".provenance.json"):
            source = experiments.published.RESULTS / f"{name}{suffix}"
            (tmp_path / source.name).write_bytes(source.read_bytes())
    rows = experiments.read_published(table)
    assert {found.outcome for found in judged(question, tmp_path, table, rows)} != {"not run"}
    fewer = rows[rows.seed != rows.seed.max()]
    assert {found.outcome for found in judged(question, tmp_path, table, fewer)} == {"not run"}


@pytest.mark.parametrize(("gain", "outcome"), [(0.2, "holds"), (0.1, "undecided"), (0.0, "fails")])
def test_redrawn_directions_are_judged_by_their_paired_gain(tmp_path, gain, outcome):
    rows = [
        {"directions": "redrawn", "d": d, "every": every, "seed": seed, "steps": 469,
         "train_accuracy": 0.5 + 0.1 * seed + (d == 64 and every == 1) * (gain + 0.001 * seed)}
        for d in (16, 64) for every in (0, 1) for seed in SEEDS
    ]  # fmt: skip
    (found,) = judged("redrawn-directions", tmp_path, "beyond_redrawn", rows)
    assert found.outcome == outcome and f"{100 * gain + 0.1:.1f} [" in found.measured


@pytest.mark.parametrize(
    ("barrier", "gain", "outcome"),
    [(0.3, 0.01, "holds"), (0.3, -0.01, "fails"), (0.0, 0.01, "fails")],
)
def test_two_solutions_need_a_barrier_and_a_gain(tmp_path, barrier, gain, outcome):
    rows = [
        {"seed": seed, "share": share, "train_loss": 0.1 + barrier * (share == 0.5),
         "test_accuracy": 0.9 + 0.01 * share, "ensemble_accuracy": 0.91 + gain + 0.0001 * seed,
         "cosine": 0.1, "agreement": 0.9, "d": 64}
        for seed in range(10) for share in (0.0, 0.5, 1.0)
    ]  # fmt: skip
    (found,) = judged("two-solutions", tmp_path, "beyond_two_solutions", rows)
    assert found.outcome == outcome


@pytest.mark.parametrize(("loss", "outcome"), [(0.3, "holds"), (0.02, "fails")])
def test_blocks_are_judged_by_what_the_first_task_loses(tmp_path, loss, outcome):
    rows = [
        {"seed": seed, "after": after, "on": on, "protected": protected, "d": 512,
         "test_accuracy": 0.9 - (loss + 0.001 * seed) * (after - on) / 3 * (protected == 0)}
        for seed in SEEDS for after in range(1, 5) for on in range(1, after + 1)
        for protected in (0, 100)
    ]  # fmt: skip
    (found,) = judged("tasks-in-blocks", tmp_path, "beyond_blocks", rows)
    assert found.outcome == outcome and "100 images of each earlier task: 0.0" in found.note


@pytest.mark.parametrize(
    ("best", "bound", "outcome"),
    [(256, 0.2, "holds"), (256, 0.6, "fails"), (4096, 0.2, "fails")],
)
def test_bits_are_judged_by_the_least_bound_and_where_it_is(tmp_path, best, bound, outcome):
    for name in ("mnist_conv2", "fashion_mnist_conv2"):
        for suffix in (".parquet", ".provenance.json"):
            source = experiments.published.RESULTS / f"{name}{suffix}"
            (tmp_path / source.name).write_bytes(source.read_bytes())
    rows = [
        {"dataset": "mnist", "d": d, "seed": seed, "levels": levels, "test_error": 0.1,
         "bound": bound + 0.001 * seed + 0.1 * (d != best) + 0.1 * (levels != 4)}
        for d in (64, 128, 256, 512, 1024, 4096) for seed in SEEDS for levels in (2, 4)
    ]  # fmt: skip
    mnist, fashion = judged("bits-bound-the-error", tmp_path, "beyond_bits", rows)
    assert (mnist.outcome, fashion.outcome) == (outcome, "not run")
    assert f"d = {best}" in mnist.measured


@pytest.mark.parametrize(("random", "outcome"), [(4096, "holds"), (128, "fails"), (None, "holds")])
def test_labels_are_judged_in_octaves_and_what_never_reaches_counts_as_D(tmp_path, random, outcome):
    rows = [
        {"labels": kind, "seed": seed, "D": 20490, "level": 0.9, "d": d,
         "best_train_accuracy": 0.95 if at and d >= at + seed else 0.5}
        for kind, at in (("true", 64), ("random", random)) for seed in SEEDS
        for d in (32, 64 + seed, 128 + seed, 4096 + seed)
    ]  # fmt: skip
    (found,) = judged("random-labels-cost-more", tmp_path, "beyond_labels", rows)
    assert found.outcome == outcome
    assert random or "20490 with random ones" in found.note


@pytest.mark.parametrize(("slope", "outcome"), [(0.02, "holds"), (0.5, "fails")])
def test_sizes_are_judged_by_a_slope_for_each_seed(tmp_path, slope, outcome):
    rows = [
        {"seed": seed, "width": width, "depth": depth, "D": width * 800 * depth, "level": 0.9,
         "d": d, "train_accuracy": 0.9 if i else 0.8}
        for seed in range(5) for width in (50, 100, 200, 400) for depth in (1, 2, 3)
        for i, d in enumerate(
            (10, 300 * (width * depth / 50) ** (slope + 0.001 * seed))
        )
    ]  # fmt: skip
    (found,) = judged("size-of-the-model", tmp_path, "beyond_sizes", rows)
    assert found.outcome == outcome and f"{slope + 0.002:.3f} [" in found.measured


@pytest.mark.parametrize(("at", "outcome"), [(8, "holds"), (8192, "fails")])
def test_text_is_judged_against_the_images_at_the_same_share_of_the_fall(tmp_path, at, outcome):
    for suffix in (".parquet", ".provenance.json"):
        source = experiments.published.RESULTS / f"mnist_conv2{suffix}"
        (tmp_path / source.name).write_bytes(source.read_bytes())
    D, rows = 20490, []
    for seed in SEEDS:
        rows += [{"seed": seed, "D": D, "d": 0, "rate": 0.0, "train_loss": 4.0}]
        rows += [{"seed": seed, "D": D, "d": D, "rate": 0.01, "train_loss": 2.0}]
        rows += [
            {"seed": seed, "D": D, "d": d, "rate": 0.0,
             "train_loss": 2.3 if d >= at else 3.0 + 0.01 * seed}
            for d in (4, 8, 16, 8192)
        ]  # fmt: skip
    (found,) = judged("text", tmp_path, "beyond_text", rows)
    assert found.outcome == outcome and "loss of 2.40 on text" in found.note


def test_a_table_that_is_missing_is_not_run(tmp_path):
    publish(tmp_path / "other.parquet", pa.table({"x": [1]}), {})
    for question in [q.id for q in QUESTIONS if q.page == "beyond_training"]:
        findings = ledger.beyond_training.ANSWERS[question](tmp_path)
        assert {found.outcome for found in findings} == {"not run"}
