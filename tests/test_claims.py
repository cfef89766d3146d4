"""Judges of the claims against synthetic tables whose verdict is known, in both directions."""

import hashlib
import inspect
import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ledger import criteria, landscapes, lottery, random_subspaces, verdicts
from ledger.criteria import CRITERIA, DIMS, LEAST_RUNS, RUNS
from ledger.evidence import (
    Evidence,
    linearized_rows,
    load_evidence,
    load_tables,
    paper_rows,
)
from ledger.ledger import JUDGES, judge_claims
from ledger.panels import crossings, settlings
from ledger.verdicts import (
    Estimate,
    Finding,
    Judgement,
    combine,
    count_verdicts,
    decide,
    decide_means,
    mean_estimate,
    side,
)

from dofbook.errors import InputError
from dofbook.experiments.published import published_names, read_published
from dofbook.success import RunValues

EPOCHS = {("mnist", "conv2"): 3, ("cifar10", "conv2"): 4, ("mnist", "conv3"): 4}
D = {("mnist", "conv2"): 20_490, ("cifar10", "conv2"): 25_578, ("mnist", "conv3"): 61_514}
MNIST, CIFAR, CONV3 = D
FULL, CHANCE = 0.99, 0.1


def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))


def curve(d, centre, slope=4.0, floor=CHANCE, top=0.98):
    """Accuracy that rises from floor to top around d = 2^centre."""
    return floor + (top - floor) * sigmoid(slope * (np.log2(d) - centre))


def runs(panel, method, dims, best, *, start=CHANCE, t=0, rate=5e-2, **extra):
    """Two checkpoints of every run, given the best accuracy by d and seed, (dims, seeds)."""
    epochs, best = EPOCHS[panel], np.asarray(best, float)
    d, seed, last = (x.ravel() for x in np.indices((*best.shape, 2)))
    accuracy = np.stack([np.full(best.shape, start), best], axis=-1)
    top = np.maximum.accumulate(accuracy, axis=-1)
    columns = {
        "dataset": panel[0], "network": panel[1], "pooling": "max", "method": method,
        "burn_in_steps": t, "nested": False, "d": np.array(dims)[d], "D": D[panel],
        "optimizer": "adam", "bias_correction": "textbook", "learning_rate": rate,
        "epochs": epochs, "batch_size": 128, "seed": seed, "step": 469 * epochs * last,
        "epoch": 1.0 * epochs * last, "cell": [f"{method}-{t}-{i}-{rate}" for i in d],
    }  # fmt: skip
    for prefix, values in (("", accuracy), ("best_", top)):
        for split, shift in (("train", 0.0), ("test", 0.004)):
            columns[f"{prefix}{split}_accuracy"] = values.ravel() - shift
            columns[f"{prefix}{split}_loss"] = 2.4 * (1 - values.ravel()) / (1 - CHANCE)
    return pd.DataFrame(columns | extra)


def affine(panel=MNIST, centres=(7.0, 6.6, 6.3, 6.0), spread=0.1, slope=2.0, starts=0.1, dims=DIMS):
    """Runs at t = 0, 4, 8, 16 with thresholds near 2^centre; the start improves with t."""
    generator, count = np.random.default_rng(0), RUNS[panel[1]]
    shift = generator.normal(0, spread, count)  # one initialization at every t and d
    jitter = generator.normal(0, 0.02, (4, count))
    d, parts = np.array(dims)[:, None], []
    for i, t in enumerate(criteria.BURN_INS[panel[1]]):
        floor = CHANCE + starts * i
        best = curve(d, centres[i] + shift + jitter[i], slope, floor)
        parts.append(runs(panel, "affine", dims, best, start=floor, t=t))
    return pd.concat(parts, ignore_index=True)


def full(panel=MNIST):
    count = RUNS[panel[1]]
    parts = [
        runs(panel, "full", [D[panel]], np.full((1, count), best), rate=rate)
        for rate, best in ((1e-2, FULL), (5e-2, 0.95))
    ]
    return pd.concat(parts, ignore_index=True)


def other(method, centre, panel=MNIST, dims=DIMS, slope=2.0, top=FULL, **extra):
    """Runs of one more method; the centre depends a little on the seed."""
    shift = 0.05 * (np.arange(RUNS[panel[1]]) % 3)
    best = curve(np.array(dims)[:, None], centre + shift, slope, top=top)
    return runs(panel, method, dims, best, **extra)


def found(claim, *parts, **tables):
    """Judge one claim on the runs given; panels that were not run are left out."""
    evidence = Evidence(**tables)
    if parts:
        evidence = replace(evidence, runs=paper_rows(pd.concat(parts, ignore_index=True)))
    return [f for f in JUDGES[claim](evidence) if f.outcome != "not run"]


def outcomes(claim, *parts, **tables):
    return [f.outcome for f in found(claim, *parts, **tables)]


def publish(folder, name, table, cells=None):
    """Write a table with its provenance, as `dofbook table` does."""
    path = folder / f"{name}.parquet"
    table.to_parquet(path)
    record = {"cells": cells or {}, "table_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    path.with_suffix(".provenance.json").write_text(json.dumps(record))


SHARP, BASE = affine(), full()
LATE = affine(centres=(6.0, 6.3, 6.6, 7.0))  # burn-in harms
SAME = affine(centres=(7.0, 7.0, 7.0, 7.0), starts=0.0)
BLURRED = affine(slope=0.35, spread=2.0)
FLAT = affine(slope=0.0)


# --- the ledger as a whole ------------------------------------------------------------------------


def test_every_claim_has_one_judge_and_a_criterion():
    names = [c.id for c in CRITERIA]
    assert len(set(names)) == len(names) and set(names) == set(JUDGES)
    assert all(c.title and c.claim and c.place and c.criterion and c.page for c in CRITERIA)


def test_without_runs_every_panel_says_why():
    judgements = judge_claims(Evidence())
    assert {j.verdict for j in judgements} == {"not run"}
    assert all(f.note and not f.measured for j in judgements for f in j.findings)
    assert count_verdicts(judgements)["not run"] == len(CRITERIA)


def test_ledger_of_one_panel_runs_whole():
    rows = paper_rows(pd.concat([SHARP, BASE], ignore_index=True))
    judgements = {j.criterion.id: j for j in judge_claims(Evidence(runs=rows))}
    for name in ("sharp-transition", "burn-in-lowers-threshold", "small-fraction"):
        assert judgements[name].verdict == "reproduced" and judgements[name].decided == 1
    assert judgements["other-architectures"].verdict == "not run"
    note = judgements["lottery-full-accuracy"].findings[0].note
    assert note == "No runs of lottery subspaces, t = 0."


def test_verdict_of_findings():
    def verdict(*outcomes):
        findings = tuple(Finding("x", outcome) for outcome in outcomes)
        return Judgement(CRITERIA[0], findings).verdict

    assert verdict("holds", "not run", "holds") == "reproduced"
    assert verdict("fails", "fails") == "not reproduced"
    assert (
        verdict("holds", "fails") == verdict("in part") == verdict("holds", "in part") == "partly"
    )
    assert verdict("not run") == "not run"
    assert verdict("undecided", "not run") == "undecided"
    assert verdict("undecided", "holds") == "reproduced"
    assert verdict("undecided", "fails") == "not reproduced"


def test_an_undecided_panel_is_neither_for_nor_against():
    judged = Judgement(CRITERIA[0], (Finding("x", "holds"), *[Finding("x", "undecided")] * 2))
    assert judged.decided == 1 and judged.narrow


BEYOND = [f"beyond.{path.stem}" for path in Path(__file__).parents[1].glob("book/beyond/*.py")]


@pytest.mark.parametrize(
    "name", ["ledger.verdicts", "ledger.panels", "ledger.beyond_training", *sorted(BEYOND)]
)
def test_examples_of_the_ledger_and_the_experiments(name):
    import doctest
    from importlib import import_module

    found = doctest.testmod(import_module(name))
    assert found.attempted and not found.failed


def test_verdicts_say_on_how_many_panels_they_rest():
    from ledger.pages import colour, verdict_text

    def shown(*outcomes):
        judged = Judgement(CRITERIA[0], tuple(Finding("x", outcome) for outcome in outcomes))
        return verdict_text(judged), colour(judged)

    assert shown("holds", "not run", "not run") == ("reproduced on one panel", "·")
    assert shown("holds", "not run") == ("reproduced on one panel", "✓")
    assert shown("holds", "holds") == ("reproduced", "✓")
    assert shown("fails", "holds", "undecided", "not run") == (
        "partly reproduced on 2 of 4 panels, undecided on 1", "◐"
    )  # fmt: skip
    assert shown("undecided", "not run") == ("undecided", "·")
    assert shown("fails") == ("not reproduced", "✗") and shown("not run") == ("not run", "·")


# --- published tables -----------------------------------------------------------------------------


def test_missing_results_fail_in_a_sentence(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="holds no published table; .*results/"):
            load_evidence(folder)
    with pytest.raises(InputError, match="there is no table .*x.parquet"):
        read_published("x", tmp_path)


def test_a_table_is_believed_only_with_its_provenance(tmp_path):
    publish(tmp_path, "x", SHARP)
    pd.testing.assert_frame_equal(read_published("x", tmp_path), SHARP)
    path, record = tmp_path / "x.parquet", tmp_path / "x.provenance.json"
    SHARP.iloc[1:].to_parquet(path)
    with pytest.raises(InputError, match="not the table that its provenance describes"):
        load_evidence(tmp_path)
    for text in ("{}", "[]", "no json"):
        record.write_text(text)
        with pytest.raises(InputError, match="x.provenance.json"):
            read_published("x", tmp_path)
    record.unlink()
    with pytest.raises(InputError, match="where the table x comes from is not known"):
        read_published("x", tmp_path)


def test_every_published_table_is_believed():
    for name in published_names():
        rows = read_published(name)
        assert len(rows) and not rows.filter(["variant"]).isna().any(axis=None)  # "" is plain


def test_publishing_a_table_is_enough_to_have_it_judged(tmp_path):
    """Several panels, a second rate and spectra, each in a table of its own."""
    first = paper_rows(pd.concat([SHARP, BASE], ignore_index=True))
    fashion = first.assign(dataset="fashion_mnist")
    slow = SHARP[SHARP["burn_in_steps"] == 0].assign(learning_rate=1e-2)
    for name, table in {"mnist_conv2": first, "fashion_mnist_conv2": fashion, "rate": slow}.items():
        publish(tmp_path, name, table)
    publish(tmp_path, "any_name", spectra({MNIST: 1.0, CONV3: 1.0}))
    evidence = load_evidence(tmp_path)
    assert len(evidence.spectra) and set(evidence.runs["dataset"]) == {"mnist", "fashion_mnist"}
    outcomes = {f.subject: f.outcome for f in JUDGES["burn-in-lowers-threshold"](evidence)}
    assert outcomes["Conv-2 on MNIST"] == outcomes["Conv-2 on Fashion-MNIST"] == "holds"
    assert [f.outcome for f in JUDGES["learning-rate"](evidence)] == ["fails"]


# --- claims on random and burn-in subspaces -------------------------------------------------------

HOLDS = {
    "sharp-transition": SHARP,
    "threshold-tracks-boundary": SHARP,
    "threshold-rises-as-loss-falls": SHARP,
    "burn-in-lowers-threshold": SHARP,
    "more-burn-in-lower-threshold": SHARP,
    "threshold-falls-with-initial-loss": SHARP,
    "test-accuracy": SHARP,
    "small-fraction": SHARP,
    "large-width": SHARP,
    "parameter-counts": SHARP,
    "burn-in-early-dimensions": SHARP,
}
STEP = affine(slope=1000.0, centres=(6.5,) * 4, spread=0.0)  # every level at the same d
FAILS = {
    "sharp-transition": BLURRED,
    "threshold-rises-as-loss-falls": STEP,
    "threshold-tracks-boundary": affine(centres=(5.0,) * 4, spread=4.0),
    "burn-in-lowers-threshold": LATE,
    "more-burn-in-lower-threshold": LATE,
    "threshold-falls-with-initial-loss": LATE,
    "small-fraction": affine(centres=(11.3,) * 4, slope=8),
    "parameter-counts": SHARP.assign(D=20_001),
    "burn-in-early-dimensions": affine(centres=(6.0, 7.0, 8.0, 9.0), starts=0.0),
}


@pytest.mark.parametrize("claim", HOLDS)
def test_claim_holds(claim):
    assert outcomes(claim, HOLDS[claim], BASE) == ["holds"]


@pytest.mark.parametrize("claim", FAILS)
def test_claim_fails(claim):
    assert outcomes(claim, FAILS[claim], BASE) == ["fails"]


def test_test_accuracy_needs_both_trends():
    assert outcomes("test-accuracy", LATE, BASE) == ["in part"]  # it rises; burn-in harms


def test_failed_training_shows_nothing_about_the_width():
    late = affine(centres=(11.3,) * 4, slope=8)
    assert outcomes("large-width", late, BASE) == ["undecided"]


def test_levels_that_the_start_has_are_no_thresholds():
    """With the start of t = 16 above 80 % of the baseline, that level is left out there."""
    for starts, pairs in ((0.1, 16), (0.25, 15), (0.28, 14)):
        (finding,) = found("sharp-transition", affine(starts=starts), BASE)
        assert f"{pairs} pairs of t and level" in finding.note


def test_no_gain_from_burn_in_is_the_claim_for_conv3_on_mnist_alone():
    same = affine(CONV3, centres=(7.0,) * 4, starts=0.0, spread=0.0)
    assert outcomes("conv3-mnist-exception", same) == ["holds"]
    assert outcomes("conv3-mnist-exception", affine(CONV3)) == ["fails"]
    assert outcomes("burn-in-early-dimensions", affine(CONV3)) == []


def test_measured_contrast_is_the_one_put_in():
    shifted = affine(centres=(8.0, 7.5, 7.0, 6.5), starts=0.0, slope=2)
    (finding,) = found("burn-in-lowers-threshold", shifted, BASE)
    # Shifted by 1.5 octaves; interpolation on octaves bends the curve by a little.
    assert float(finding.measured.split(": ")[1].split()[0].replace("−", "-")) == pytest.approx(
        -1.5, abs=0.05
    )


def test_a_level_the_burn_in_already_has_is_not_used():
    high_start = affine(starts=0.29)  # w_16 at 0.97, above 95 % of the baseline
    (finding,) = found("burn-in-lowers-threshold", high_start, BASE)
    assert "97.0 %" in finding.note
    above_all = affine(starts=0.3)  # above 98 %: nothing can be compared
    assert found("burn-in-lowers-threshold", above_all, BASE) == []


def test_other_architectures_join_three_trends():
    held = outcomes("other-architectures", affine(CONV3, spread=0.02), full(CONV3))
    assert held == ["holds"]
    late = affine(CONV3, centres=(6.0, 6.3, 6.6, 7.0), spread=0.02)
    assert outcomes("other-architectures", late, full(CONV3)) == ["in part"]


def test_learning_rate():
    low = SHARP.assign(learning_rate=1e-2, cell="slow")
    worse = low.assign(best_train_accuracy=low["best_train_accuracy"] - 0.05)
    for slow, outcome in ((worse, "holds"), (low, "fails")):
        both = paper_rows(pd.concat([SHARP, slow], ignore_index=True), any_rate=True)
        assert outcomes("learning-rate", other_rates=both) == [outcome]
    assert paper_rows(pd.concat([SHARP, low]))["learning_rate"].unique() == [5e-2]


# --- missing data ---------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", HOLDS)
def test_a_missing_run_means_not_run(claim):
    if claim == "parameter-counts":
        return
    d = 1024 if claim == "large-width" else 64
    least = RUNS if claim == "threshold-tracks-boundary" else LEAST_RUNS
    kept = least["conv2"] - 1
    lacking = (SHARP["d"] == d) & (SHARP["seed"] >= kept) & (SHARP["burn_in_steps"] == 0)
    evidence = Evidence(runs=paper_rows(pd.concat([SHARP[~lacking], BASE], ignore_index=True)))
    finding = next(f for f in JUDGES[claim](evidence) if f.subject == "Conv-2 on MNIST")
    assert finding.outcome == "not run" and "t = 0" in finding.note
    counts = {"burn-in-early-dimensions": "7 of 8", "large-width": "0 of 1"}
    assert counts.get(claim, "12 of 13") in finding.note


@pytest.mark.parametrize("claim", HOLDS)
def test_five_initializations_count_except_for_tracking(claim):
    few = [part[part["seed"] < 5] for part in (HOLDS[claim], BASE)]
    expected = [] if claim == "threshold-tracks-boundary" else ["holds"]
    assert outcomes(claim, *few) == expected
    if claim != "parameter-counts":
        assert outcomes(claim, *(part[part["seed"] < 4] for part in few)) == []


def test_burn_in_needs_its_own_times_alone():
    two = SHARP[SHARP["burn_in_steps"].isin((0, 16))]
    assert outcomes("burn-in-lowers-threshold", two, BASE) == ["holds"]
    assert outcomes("more-burn-in-lower-threshold", two, BASE) == []


@pytest.mark.parametrize("times", [(0,), (0, 4, 8, 16)])
def test_an_extra_seed_at_one_d_changes_nothing(times):
    """A sweep with more seeds that has only begun must not cost the panel its verdicts."""
    begun = SHARP[(SHARP["d"] == 1) & (SHARP["seed"] == 0) & SHARP["burn_in_steps"].isin(times)]
    begun = begun.assign(seed=10, train_loss=9.0, train_accuracy=0.9)
    for claim in ("threshold-falls-with-initial-loss", "burn-in-early-dimensions", "test-accuracy"):
        assert found(claim, SHARP, BASE, begun) == found(claim, SHARP, BASE)


def test_a_run_that_did_not_reach_its_last_epoch_is_missing():
    cut = SHARP[~((SHARP["d"] == 64) & (SHARP["epoch"] == 3))]
    assert 64 not in set(paper_rows(cut)["d"])
    assert found("sharp-transition", cut, BASE) == []


def test_a_missing_baseline_means_not_run():
    half = BASE[(BASE["learning_rate"] == 1e-2) | (BASE["seed"] < 4)]
    rows = paper_rows(pd.concat([SHARP, half], ignore_index=True))
    (finding, *_) = JUDGES["sharp-transition"](Evidence(runs=rows))
    assert finding.outcome == "not run" and "1 of 2 learning rates" in finding.note


def test_a_threshold_beyond_the_grid_is_not_judged_a_small_fraction():
    """At d = 4096 of D = 61k nobody knows whether d* is above 10 %."""
    assert found("small-fraction", affine(CONV3, centres=(13.0,) * 4), full(CONV3)) == []


# --- which rows count -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 1}, {"pooling": "average"}, {"bias_correction": "constant"}, {"nested": True},
        {"batch_size": 64}, {"extra_burn_in_step": 1}, {"train_images": 6000},
        {"learning_rate": 1e-2}, {"optimizer": "momentum"}, {"network": "mlp"},
        {"dataset": "digits"}, {"variant": "hadamard"},
    ],
    ids=str,
)  # fmt: skip
def test_other_settings_do_not_count(change):
    assert paper_rows(SHARP.assign(**change)).empty
    both = pd.concat([SHARP, SHARP.assign(**change)], ignore_index=True)
    assert len(paper_rows(both)) == len(SHARP)


def test_tickets_pruned_after_other_epochs_do_not_count():
    tickets = other("lottery_ticket", 8.0, pruning_epochs=2)
    assert len(paper_rows(tickets)) == len(tickets)
    assert paper_rows(tickets.assign(pruning_epochs=20)).empty


def test_null_settings_and_full_data_count():
    rows = SHARP.assign(variant="", extra_burn_in_step=0, train_images=60_000)
    assert len(paper_rows(rows)) == len(SHARP)


def test_a_run_in_two_tables_counts_once(tmp_path):
    for name, part in (("a", SHARP), ("b", SHARP[SHARP["seed"] < 3].assign(cell="again"))):
        publish(tmp_path, name, part)
    rows, _ = load_tables(tmp_path)
    assert len(rows) > len(SHARP) and set(rows["table"]) == {"a", "b"}
    assert set(paper_rows(rows)["table"]) == {"a"} and len(paper_rows(rows)) == len(SHARP)


def test_the_extra_burn_in_step_is_read_from_the_provenance(tmp_path):
    cells = {"one": {"task": {"extra_burn_in_step": 1}}}
    publish(tmp_path, "a", SHARP.assign(cell="one"), cells)
    assert paper_rows(load_tables(tmp_path)[0]).empty


def test_variants_of_a_method_do_not_count():
    centred = other("lottery_subspace", 2.0, variant="centred")
    plain = other("lottery_subspace", 5.0, variant=None)
    kept = paper_rows(pd.concat([centred, plain], ignore_index=True))
    assert kept["variant"].isna().all() and len(kept) == len(plain)


# --- lottery subspaces and tickets ----------------------------------------------------------------

LOTTERY = other("lottery_subspace", 4.0)
EVEN = affine(starts=0.0)  # burn-in lowers thresholds but starts no higher
TICKET_DIMS = (40, 80, 200, 400, 1024, 2048)


def tickets(centre, panel=MNIST, collapse=True, top=0.97):
    made = other("lottery_ticket", centre, panel, TICKET_DIMS, top=top)
    return made.assign(collapsed=np.where((made["d"] < 300) & collapse, "conv_1", ""))


@pytest.mark.parametrize(
    "claim, better, worse",
    [
        ("lottery-beats-random", 4.0, 9.0), ("lottery-beats-burn-in", 4.0, 8.0),
        ("lottery-full-accuracy", 2.9, 6.0),
    ],
)  # fmt: skip
def test_lottery_claims(claim, better, worse):
    for centre, outcome in ((better, "holds"), (worse, "fails")):
        lottery = other("lottery_subspace", centre)
        if claim == "lottery-full-accuracy":  # in part below 20 dimensions
            few = other("lottery_subspace", 0.5)
            assert outcomes(claim, few, BASE) == ["in part"]
        assert outcomes(claim, lottery, EVEN, BASE) == [outcome], centre


def test_lottery_accuracy_is_a_running_maximum():
    fallen = LOTTERY[["best_train_accuracy"]].where(LOTTERY["d"] < 128, 0.3)
    assert outcomes("lottery-beats-random", LOTTERY.assign(**fallen), SHARP) == ["holds"]


def test_lottery_against_tickets():
    claim = "lottery-beats-tickets"
    assert outcomes(claim, LOTTERY, tickets(8.0)) == ["holds"]
    assert outcomes(claim, LOTTERY, tickets(1.0, top=FULL)) == ["fails"]
    assert outcomes(claim, LOTTERY) == []


def test_tickets_that_guess_are_beaten_by_nobody():
    collapsed = tickets(12.0)
    assert (collapsed["best_train_accuracy"][collapsed["d"] <= 410] < criteria.OFF_CHANCE).all()
    assert outcomes("lottery-beats-tickets", LOTTERY, collapsed) == []
    (finding,) = found("tickets-no-better", affine(), tickets(9.5))
    assert "from 400 to 2048" in finding.note


def test_a_lead_that_is_lost_at_some_d_holds_in_part():
    values = LOTTERY["best_train_accuracy"].where(LOTTERY["d"] > 1, 0.02)
    assert outcomes("lottery-beats-random", LOTTERY.assign(best_train_accuracy=values), SHARP) == [
        "in part"
    ]


def test_tickets_against_random_subspaces():
    for panel, claim in ((MNIST, "tickets-no-better"), (CIFAR, "tickets-exception")):
        random = affine(panel)
        worse = outcomes(claim, random, tickets(9.5, panel))
        better = outcomes(claim, random, tickets(4.0, panel))
        assert (worse, better) == (
            (["holds"], ["fails"]) if claim == "tickets-no-better" else (["fails"], ["holds"])
        )


def test_layer_collapse():
    poor = tickets(8.0)
    assert outcomes("layer-collapse", poor, BASE) == ["holds"]
    assert outcomes("layer-collapse", tickets(8.0, collapse=False), BASE) == ["fails"]
    assert outcomes("layer-collapse", tickets(1.0), BASE) == ["fails"]  # none is poor
    assert outcomes("layer-collapse", poor.drop(columns="collapsed"), BASE) == []
    rows = pd.DataFrame({"d": [4, 4, 8, 8], "seed": [0, 0, 0, 1]})
    found = lottery.collapsed(rows.assign(collapsed=["", "conv_1", "", None]))
    assert found.to_dict() == {(4, 0): True, (8, 0): False, (8, 1): False}


def rewound(rows):
    return rows.assign(burn_in_steps=16, cell=rows["cell"] + "-16")


PRUNED = other("random_pruning", 10.0, dims=(256, 512, 1024, 2048, 4096))
EARLIER = rewound(other("random_pruning", 9.5, dims=(256, 512, 1024, 2048, 4096)))


def test_table_1_needs_all_six_steps():
    claim, rest = "table-1-order", [SHARP, BASE, LOTTERY, PRUNED]
    fewer = [EARLIER, rewound(tickets(6.5)), rewound(other("lottery_subspace", 3.0))]
    assert outcomes(claim, *rest, *fewer, tickets(7.0)) == ["holds"]
    worse = [EARLIER, rewound(tickets(6.5)), rewound(other("lottery_subspace", 5.0))]
    assert outcomes(claim, *rest, *worse, tickets(7.0)) == ["in part"]
    (finding,) = found(claim, *rest, tickets(7.0))
    assert finding.outcome == "undecided" and "Not run: random pruning to w0 → w16" in finding.note
    reverse = [
        LATE,
        BASE,
        other("lottery_subspace", 9.0),
        PRUNED,
        rewound(other("random_pruning", 10.5)),
        rewound(other("lottery_subspace", 9.5)),
    ]
    assert outcomes(claim, *reverse) == ["fails"]
    assert outcomes(claim, BASE, LOTTERY) == []


def test_a_shorter_grid_is_no_advantage_in_table_1():
    """Tickets up to 2048 never get there; random pruning does, but beyond that size."""
    late = rewound(other("random_pruning", 10.5, dims=(256, 1024, 4096)))
    (finding,) = found("table-1-order", BASE, late, tickets(14.0))
    assert finding.outcome == "undecided" and "Pruning at w16 → tickets: 0.0" in finding.note


def spectra(exponents, spread=0.02):
    """Power laws by (data set, network), with noise over seeds."""
    generator, parts = np.random.default_rng(0), []
    for (dataset, network), exponent in exponents.items():
        for seed in range(RUNS[network]):
            values = np.arange(1, 257.0) ** -(exponent + spread * generator.normal())
            parts.append(
                pd.DataFrame({
                    "dataset": dataset, "network": network, "seed": seed, "basis": "increments",
                    "index": np.arange(256), "singular_value": values,
                })
            )  # fmt: skip
    return pd.concat(parts)


def test_spectra_by_data_set_or_by_architecture():
    names = [(a, b) for a in ("mnist", "cifar10") for b in ("conv2", "conv3")]
    by_data = spectra({n: 1.0 if n[0] == "mnist" else 2.0 for n in names})
    by_network = spectra({n: 1.0 if n[1] == "conv2" else 2.0 for n in names})
    assert outcomes("spectra-consistent", spectra=by_data) == ["holds", "holds"]
    assert outcomes("spectra-consistent", spectra=by_network) == ["fails", "fails"]
    assert outcomes("spectra-consistent", spectra=by_data[by_data["network"] == "conv2"]) == []


def test_accuracy_falls_with_the_spectrum():
    peak = other("lottery_subspace", 3.0, CIFAR, dims=(1, 4, 16, 64, 128, 256))
    columns = ["train_accuracy", "best_train_accuracy"]
    fallen = peak.assign(**(peak[columns] - 0.05 * (peak[["d"]].to_numpy() == 256)))
    steep, flat = spectra({CIFAR: 2.0}), spectra({CIFAR: 0.1})
    claim = "accuracy-falls-with-spectrum"
    assert outcomes(claim, fallen, spectra=steep) == ["holds"]
    assert outcomes(claim, fallen, spectra=flat) == ["fails"]
    assert outcomes(claim, peak, spectra=steep) == ["fails"]
    assert outcomes(claim, fallen) == []
    assert outcomes(claim, fallen[fallen["d"] < 256], spectra=steep) == []  # too few for a fall


def test_transition_at_ten():
    dims = (1, 2, 4, 8, 12, 16, 32, 64)
    for centre, outcome in ((3.4, "holds"), (1.0, "fails"), (5.5, "fails")):
        steep = other("lottery_subspace", centre, CIFAR, dims, slope=8.0)
        assert outcomes("cifar10-ten", steep) == [outcome], centre
    assert outcomes("cifar10-ten", steep[steep["d"] != 16]) == []


# --- linearized networks and the quadratic well ---------------------------------------------------


def linearized(shift, runs=5):
    return pd.concat(
        pd.DataFrame({
            "dataset": "mnist", "network": "conv2", "model": model, "d": DIMS, "seed": seed,
            "best_train_accuracy": curve(np.array(DIMS), 6 + move + 0.1 * seed),
        })
        for model, move in (("network", 0.0), ("linearized", shift))
        for seed in range(runs)
    )  # fmt: skip


def test_linearized_threshold():
    for shift, outcome in ((0.3, "holds"), (-0.3, "holds"), (2.0, "fails"), (-2.0, "fails")):
        assert outcomes("ntk-threshold-close", linearized=linearized(shift)) == [outcome]
    assert outcomes("ntk-threshold-close", linearized=linearized(0.3, runs=2)) == []


def test_the_level_that_decides_is_shown_and_none_below_the_grid():
    table = linearized(2.0)
    table = table[table["d"] >= 64]  # all levels lie above d = 64 for neither model
    (finding,) = found("ntk-threshold-close", linearized=linearized(2.0))
    value = float(finding.measured.split(": ")[1].split()[0])
    assert finding.outcome == "fails" and value > criteria.NTK_OCTAVES
    (cut,) = JUDGES["ntk-threshold-close"](Evidence(linearized=table[table["d"] >= 256]))[:1]
    assert cut.outcome == "not run" and "smallest d" in cut.note


def test_one_step_of_the_grid_is_one_octave():
    (finding,) = found("ntk-threshold-close", linearized=linearized(1.0))  # one step of the grid
    assert "1.00 [1.00, 1.00]" in finding.measured


def test_runs_of_linearized_networks_are_kept_apart(tmp_path):
    network = SHARP[SHARP["burn_in_steps"] == 0].assign(
        nested=True, variant="", train_images=60_000
    )
    around = network.assign(variant="linearized at step 1407")  # 3 epochs
    parts = [network, around, around.assign(variant="linearized at step 4"),
             network.assign(epochs=1), around.assign(variant="linearized at step 1407, exact"),
             around.assign(nested=False)]  # fmt: skip
    publish(tmp_path, "ntk_mnist", pd.concat(parts, ignore_index=True))
    publish(tmp_path, "mnist", SHARP)
    evidence = load_evidence(tmp_path)
    assert set(evidence.runs["table"]) == {"mnist"} and len(evidence.runs) == len(SHARP)
    kept = evidence.linearized
    assert len(kept) == 2 * len(DIMS) * 10 and set(kept["model"]) == {"network", "linearized"}
    (finding,) = [f for f in JUDGES["ntk-threshold-close"](evidence) if f.outcome != "not run"]
    assert finding.outcome == "holds" and "0.00 [0.00, 0.00]" in finding.measured
    assert linearized_rows(pd.DataFrame()).empty


def well(shift=lambda distance, level: 0.0, bound=lambda level: 400.0, noise=4.0):
    generator, parts = np.random.default_rng(0), []
    draws = generator.normal(0, noise, 40)
    for distance in landscapes.DISTANCES:
        for level in landscapes.WELL_LEVELS:
            hits = 250 + shift(distance, level) + draws
            columns = ("bimodal", distance, np.arange(40), level, hits, bound(level), 500)
            parts.append(pd.DataFrame(dict(zip(landscapes.WELL_COLUMNS, columns, strict=True))))
    return pd.concat(parts)


def closer(distance, level):
    return -80 * (1 - distance)


@pytest.mark.parametrize(
    "claim, good, bad",
    [
        ("well-transition", well(closer), well()),
        ("well-transition", well(closer), well(closer, noise=40)),
        ("well-half", well(), well(lambda r, e: 60)),
        ("well-half", well(), well(lambda r, e: -60)),
        ("well-bound", well(), well(bound=lambda e: 250)),
        (
            "well-bound-tight",
            well(bound=lambda e: 270 if e < 0.1 else 400),
            well(bound=lambda e: 400 if e < 0.1 else 270),
        ),
    ],
)
def test_quadratic_well(claim, good, bad):
    assert outcomes(claim, well=good) == ["holds"]
    assert outcomes(claim, well=bad) == ["fails"]


def test_simulated_well_has_the_columns_and_obeys_scaling():
    table = landscapes.simulate_well(D=40, runs=6)
    assert tuple(table.columns) == landscapes.WELL_COLUMNS
    assert table["d_hit"].between(0, 40).all() and table["bound"].between(0, 40).all()
    hits = table.pivot_table(index=["spectrum", "run", "level"], columns="distance", values="d_hit")
    assert (hits[1.0] >= hits[0.5]).all() and (hits[0.5] >= hits[0.25]).all()
    levels = table[table["distance"] == 1.0].pivot_table(
        index=["spectrum", "run"], columns="level", values="d_hit"
    )
    assert (np.diff(levels.to_numpy(), axis=1) <= 0).all()


# --- intervals ------------------------------------------------------------------------------------


def test_intervals_count_initializations_and_not_runs():
    """A mean over (d, seed) varies by the seeds' spread, not by that of single runs."""
    seeds, dims = 40, 25
    panel = random_subspaces.Panel("mnist", "conv2", SHARP)
    lead = np.random.default_rng(1).normal(size=seeds)  # the same at every d
    finding = lottery.judge_leads(panel, dict.fromkeys(range(dims), lead), "lead")
    low, high = (
        float(x) / 100
        for x in finding.measured.replace("−", "-").split("[")[1].split("]")[0].split(", ")
    )
    cluster = 2.02 * lead.std(ddof=1) / np.sqrt(seeds)
    assert (high - low) / 2 == pytest.approx(cluster, rel=0.01)


def test_mean_estimate_is_students_interval():
    from scipy import stats

    sample = np.array([0.1, 0.4, -0.2, 0.3])
    ends = stats.t.interval(0.95, 3, sample.mean(), stats.sem(sample))
    assert mean_estimate(sample)[1:] == pytest.approx(ends)
    assert mean_estimate([1.0]) == Estimate(1.0, -np.inf, np.inf)


def test_one_contrary_initialization_leaves_a_weak_effect_open():
    wide = affine(centres=(7.0, 6.95, 6.93, 6.9), spread=0.3)
    noisy = wide.assign(
        best_train_accuracy=wide["best_train_accuracy"]
        - np.where((wide["seed"] == 0) & (wide["burn_in_steps"] == 16) & (wide["step"] > 0), 0.2, 0)
    )
    assert outcomes("burn-in-lowers-threshold", wide, BASE) == ["holds"]
    assert outcomes("burn-in-lowers-threshold", noisy, BASE) != ["holds"]


@pytest.mark.parametrize(
    "value, lower, upper, outcome",
    [
        (-1, -2, -0.5, "holds"), (-1, -2, 0.5, "undecided"), (1, -0.5, 2, "undecided"),
        (1, 0.5, 2, "fails"), (0, 0, 0, "fails"),
    ],
)  # fmt: skip
def test_side_of_zero(value, lower, upper, outcome):
    assert side(Estimate(value, lower, upper), high=0) == outcome
    assert side(Estimate(-value, -upper, -lower), low=0) == outcome


def test_conditions_hold_one_by_one_and_fail_jointly():
    def fixed(lower, upper, wider=0.0):
        def condition(confidence):
            extra = wider * (confidence > 0.95)
            return Estimate((lower + upper) / 2, lower - extra, upper + extra)

        return condition

    good, wide, bad = fixed(1, 2), fixed(-1, 3), fixed(-3, -2)
    assert decide({"a": good, "b": good}, low=0).outcome == "holds"
    assert decide({"a": good, "b": wide}, low=0)[:2] == ("undecided", "b")
    assert decide({"a": wide, "b": bad}, low=0)[:2] == ("fails", "b")
    near = fixed(-3, -0.5, wider=1.0)  # fails alone, but not among two
    assert decide({"a": near}, low=0).outcome == "fails"
    assert decide({"a": good, "b": near}, low=0)[:2] == ("undecided", "b")
    assert decide({"a": fixed(-0.5, 0.5)}, low=-1, high=1).outcome == "holds"


def test_parts_of_a_claim_join():
    assert combine(["holds", "holds"]) == "holds" and combine(["fails", "fails"]) == "fails"
    assert combine(["holds", "fails", "undecided"]) == "in part"
    assert combine(["holds", "undecided"]) == combine(["fails", "undecided"]) == "undecided"


def test_crossings_interpolate_in_octaves():
    values = np.array([[0.2, 0.9, 0.1], [0.4, 0.9, 0.1], [0.8, 0.9, 0.1]])
    matrix = RunValues(
        np.array([1, 4, 16]), np.arange(3), values, np.ones((3, 3), bool), "accuracy"
    )
    assert crossings(matrix, 0.6) == pytest.approx([3.0, 0.0, np.inf])
    losses = replace(
        matrix, values=np.array([[1.0, 0.5, 2], [0.5, 0.5, 2], [0.125, 0, 2]]), kind="loss"
    )
    assert crossings(losses, 0.25) == pytest.approx([3.0, 4.0, np.inf])


def test_settlings_are_the_last_crossings():
    values = np.array([[0.2, 0.9, 0.9, 0.2], [0.8, 0.9, 0.3, 0.8], [0.4, 0.9, 0.9, 0.5],
                       [0.8, 0.9, 0.9, 0.4]])  # fmt: skip
    matrix = RunValues(
        np.array([1, 2, 4, 8]), np.arange(4), values, np.ones((4, 4), bool), "accuracy"
    )
    assert settlings(matrix, 0.6) == pytest.approx([2.5, 0.0, 1.5, np.inf])
    assert crossings(matrix, 0.6) == pytest.approx([2 / 3, 0.0, 0.0, 2 / 3])
    as_loss = replace(matrix, values=np.exp(-values), kind="loss")
    assert settlings(as_loss, np.exp(-0.6)) == pytest.approx(settlings(matrix, 0.6))
    diverged = replace(matrix, values=np.where(values == 0.4, np.nan, values))
    assert settlings(diverged, 0.6)[0] == pytest.approx(3.0)  # nothing to interpolate from


def test_numbers_of_the_criteria_are_those_of_the_judges():
    """A criterion's text and the constant its judge uses must not drift apart."""
    text = {c.id: c.criterion for c in CRITERIA}
    assert f"at most {criteria.SHARP_OCTAVES:.0f} octaves" in text["sharp-transition"]
    assert (
        f"at least {criteria.TRACKED_SHARE:.0%}".replace("%", " %")
        in text["threshold-tracks-boundary"]
    )
    assert f"{100 * criteria.SMALL_FRACTION:.0f} %" in text["small-fraction"]
    assert f"{100 * criteria.LARGE_WIDTH:.0f} %" in text["large-width"]
    assert f"d ≤ {criteria.EARLY_DIMS}" in text["burn-in-early-dimensions"]
    assert str(list(criteria.FULL_ACCURACY_DIMS)) in text["lottery-full-accuracy"]
    assert f"D/d ≥ {criteria.HIGH_COMPRESSION}" in text["lottery-beats-tickets"]
    assert f"D/d ≥ {criteria.COLLAPSE_COMPRESSION}" in text["layer-collapse"]
    assert f"first {criteria.SPECTRUM_LENGTH} " in text["spectra-consistent"]
    assert "d = {} to {} ".format(*criteria.CLASS_STEP) in text["cifar10-ten"]
    assert f"up to d = {criteria.EARLY_DIMS}" in text["cifar10-ten"]
    assert f"{criteria.LEVELS_TRACKED} accuracies" in text["threshold-tracks-boundary"]
    assert f"more than {criteria.RISE_OCTAVES} for every t" in text["threshold-rises-as-loss-falls"]
    assert criteria.RISE_PARTS == (1 / 3, 2 / 3) and criteria.LOW_LOSS == 1 / 8
    assert f"up to {100 * criteria.WIDTH_DIMS:.0f} % of D" in text["large-width"]
    assert f"at least {100 * criteria.OFF_CHANCE:.0f} %" in text["tickets-no-better"]
    assert f"between {100 * criteria.MOST:.0f} and" in text["layer-collapse"]
    assert f"of {criteria.FALLEN_DIMS} dimensions or more" in text["accuracy-falls-with-spectrum"]
    assert f"at most {100 * criteria.FALLEN_OFF:.0f} %" in text["accuracy-falls-with-spectrum"]
    assert "200 runs" in next(c.amended for c in CRITERIA if c.id == "well-transition")
    assert landscapes.WELL_RUNS == 200
    assert "80, 90, 95 and 98 %" in inspect.getdoc(criteria)
    assert criteria.FRACTIONS == (0.8, 0.9, 0.95, 0.98)


# --- intervals and error rates, by simulation -----------------------------------------------------

OCTAVES = np.log2(DIMS)[:, None]


def matrix(values, kind="accuracy", dims=DIMS):
    values = np.asarray(values, float)
    present = np.ones(values.shape, bool)
    return RunValues(np.array(dims), np.arange(values.shape[1]), values, present, kind)


def simulated(generator, seeds, spread, noise=0.0, slope=1.0, centre=6.3):
    """Accuracies whose thresholds spread by so many octaves over initializations."""
    values = CHANCE + 0.88 * sigmoid(slope * (OCTAVES - generator.normal(centre, spread, seeds)))
    return np.clip(values + generator.normal(0, noise, values.shape), 0, 1)


def rate(count, trial):
    """Share of trials that say yes."""
    return np.mean([trial() for _ in range(count)])


def covers(estimate, truth):
    return estimate.lower <= truth <= estimate.upper


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_coverage_of_the_mean_of_log_d_hit(seeds):
    generator = np.random.default_rng(seeds)
    truth = crossings(matrix(simulated(generator, 20_000, 0.4)), 0.6).mean()

    def trial():
        return covers(
            mean_estimate(crossings(matrix(simulated(generator, seeds, 0.4)), 0.6)), truth
        )

    assert 0.92 <= rate(600, trial) <= 0.98


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_coverage_of_the_width_of_the_transition(seeds):
    generator, spread = np.random.default_rng(seeds), 0.3
    truth = verdicts.OCTAVES_10_TO_90 * spread

    def trial():
        width = random_subspaces.transition_width(
            matrix(simulated(generator, seeds, spread)), (0.5, 0.6, 0.7)
        )
        return covers(width(0.95), truth)

    assert 0.92 <= rate(500, trial) <= 0.98


@pytest.mark.parametrize("seeds, share", [(5, 0.9), (40, 0.1), (200, 0.9)])
def test_coverage_of_quantiles(seeds, share):
    from scipy.stats import norm

    generator = np.random.default_rng(seeds)

    def trial():
        sample = np.round(generator.normal(250, 12, seeds))  # first hits are whole numbers
        return covers(verdicts.quantile_estimate(sample, share), 250 + 12 * norm.ppf(share))

    assert 0.92 <= rate(600, trial) <= 0.98


def test_coverage_of_the_least_probability_is_exact():
    from scipy.stats import binom

    for runs in (3, 5, 10):
        bounds = np.array([verdicts.least_probability(k, runs) for k in range(runs + 1)])
        for p in np.linspace(0.01, 0.99, 99):
            assert binom.pmf(np.flatnonzero(bounds <= p), runs, p).sum() >= 0.975 - 1e-9


def test_coverage_of_held_out_shares():
    """Where thresholds spread little; beyond, coverage is lower, as the criterion says."""
    generator, seeds = np.random.default_rng(0), 10

    def shares():
        curves = []
        for t in range(4):
            floor = CHANCE + 0.2 * t + generator.normal(0, 0.03, seeds)
            rise = sigmoid(OCTAVES - 6.5 + 0.2 * t - shift)
            noise = generator.normal(0, 0.01, rise.shape)
            curves.append(matrix(floor + (0.97 - floor) * rise + noise))
        return random_subspaces.tracked_shares(curves)

    samples = []
    for _ in range(250):
        shift = generator.normal(0, 0.2, seeds)
        samples.append(shares())
    truth = np.mean(samples)
    covered = [covers(verdicts.held_out_estimate(sample), truth) for sample in samples]
    assert np.mean(covered) >= 0.91
    student = [covers(mean_estimate(sample), truth) for sample in samples]
    assert np.mean(student) < np.mean(covered)  # why it is widened


def test_coverage_of_the_share_of_collapsed_tickets():
    generator, sizes = np.random.default_rng(0), 5

    def trial(share):
        found = (generator.random((sizes, 5)) < share).mean(axis=0)
        return covers(mean_estimate(found, least_sd=1 / (sizes * math.sqrt(12))), share)

    assert all(rate(500, partial(trial, share)) >= 0.92 for share in (0.5, 0.8, 0.95))


def test_coverage_of_the_ratio_of_spectra():
    generator, index = np.random.default_rng(0), np.log10(np.arange(1.0, 65.0))

    def ratios(seeds):
        means = {("a", 2): 1.0, ("a", 3): 1.1, ("b", 2): 1.4, ("b", 3): 1.5}
        draws = {k: x + generator.normal(0, 0.03, seeds) for k, x in means.items()}
        gap = lambda p, q: np.sqrt(np.mean(np.outer(draws[p] - draws[q], index) ** 2, axis=1))  # noqa: E731
        within = gap(("a", 2), ("a", 3))
        return np.log2(within / ((gap(("a", 2), ("b", 2)) + gap(("a", 3), ("b", 3))) / 2))

    truth = ratios(20_000).mean()
    assert rate(600, lambda: covers(mean_estimate(ratios(5)), truth)) >= 0.9


@pytest.mark.parametrize("seeds", [5, 10])
def test_runs_that_spread_by_two_octaves_seldom_pass_for_sharp(seeds):
    generator, levels = np.random.default_rng(seeds), (0.5, 0.6, 0.7)

    def outcome(spread):
        curve = matrix(simulated(generator, seeds, spread / verdicts.OCTAVES_10_TO_90))
        width = random_subspaces.transition_width(curve, levels)
        return width and decide({0: width}, high=criteria.SHARP_OCTAVES).outcome

    assert rate(300, lambda: outcome(2.0) == "holds") <= 0.06
    assert rate(100, lambda: outcome(0.25) == "holds") >= 0.95


@pytest.mark.parametrize("seeds", [5, 10])
def test_success_that_does_not_depend_on_d_is_not_sharp(seeds):
    generator = np.random.default_rng(seeds)

    def trial(level):
        values = np.vstack([generator.uniform(0.1, 1, (len(DIMS) - 1, seeds)), np.ones((1, seeds))])
        width = random_subspaces.transition_width(matrix(values), (level,))
        return decide({0: width}, high=criteria.SHARP_OCTAVES).outcome == "holds"

    assert rate(200, lambda: trial(0.2)) <= 0.03 and rate(200, lambda: trial(0.8)) <= 0.03


def rises(losses, start):
    found = random_subspaces.rise(matrix(np.minimum(losses, start), "loss"), start)
    return found and decide_means({0: found[0]}, low=criteria.RISE_OCTAVES).outcome


@pytest.mark.parametrize("seeds", [5, 10])
def test_thresholds_of_a_single_fall_do_not_rise(seeds):
    """The nulls: all of the fall within one step of the grid, and a loss that ignores d."""
    generator = np.random.default_rng(seeds)

    def trial(kind):
        start = 2.3 * np.exp(generator.normal(0, 0.03, seeds))
        noise = generator.normal(0, 0.2, (len(DIMS), seeds))
        fall = {
            "step": 3.0 * (generator.normal(6.5, 0.3, seeds) <= OCTAVES) + noise,
            "none": np.abs(noise),
            "steady": 0.4 * np.maximum(OCTAVES - 5, 0) + 0.1 * noise,
        }[kind]
        return rises(2.3 * np.exp(-fall), start) == "holds"

    assert rate(200, lambda: trial("step")) <= 0.02 and rate(200, lambda: trial("none")) <= 0.02
    assert rate(50, lambda: trial("steady")) == 1


def test_an_even_rise_does_not_jump_at_ten():
    dims = (1, 2, 4, 8, 9, 10, 11, 12, 16, 32, 64, 128)
    generator, x = np.random.default_rng(0), np.log2(dims)[:, None]

    def outcome(jump):
        values = 0.1 + 0.07 * x + jump * (x >= np.log2(10)) + generator.normal(0, 0.04, (12, 5))
        excess = lottery.octave_excess(matrix(values, dims=dims))
        return decide_means(excess, low=0).outcome

    line = [outcome(0.0) for _ in range(400)]
    assert np.mean(np.array(line) == "holds") <= 0.01 and np.mean(np.array(line) == "fails") <= 0.06
    assert rate(100, lambda: outcome(0.3) == "holds") >= 0.95


def test_the_largest_of_many_means_makes_no_fall():
    generator = np.random.default_rng(0)

    def outcome(fall, noise=0.01):
        values = 0.6 + generator.normal(0, noise, (17, 5)) - fall * (np.arange(17)[:, None] == 16)
        falls = lottery.held_out_falls(values)
        return side(verdicts.held_out_estimate(falls), low=criteria.POINT)

    assert rate(400, lambda: outcome(0.01) == "holds") <= 0.04
    assert rate(100, lambda: outcome(0.05) == "holds") >= 0.8


def test_equal_tickets_pass_and_better_ones_do_not():
    generator, panel = np.random.default_rng(0), random_subspaces.Panel("mnist", "conv2", SHARP)

    def outcome(lead):
        gains = lead + generator.normal(0, 0.01, (6, 5)) + generator.normal(0, 0.005, 5)
        gains = {2**i: gain for i, gain in enumerate(gains)}
        return lottery.no_gain(panel, gains, criteria.POINT).outcome

    assert rate(200, lambda: outcome(-0.01) == "holds") >= 0.95
    assert rate(200, lambda: outcome(0.0) == "holds") >= 0.6
    assert rate(200, lambda: outcome(0.01) == "holds") <= 0.07
    assert rate(200, lambda: outcome(0.01) == "fails") <= 0.07
    assert rate(200, lambda: outcome(0.03) == "fails") >= 0.95


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_a_bound_that_is_exact_does_not_fail(shared):
    from scipy.stats import norm

    generator, runs = np.random.default_rng(0), 200

    def hits(level):
        own = generator.normal(size=runs)
        return 250 + 12 * (shared * common + math.sqrt(1 - shared**2) * own)

    def outcome():
        nonlocal common
        common = generator.normal(size=runs)
        rows = [
            pd.DataFrame({"spectrum": "bimodal", "distance": 1.0, "run": np.arange(runs),
                          "level": level, "d_hit": hits(level), "D": 500,
                          "bound": 250 + 12 * norm.ppf(0.9)})
            for level in landscapes.WELL_LEVELS
        ]  # fmt: skip
        return outcomes("well-bound", well=pd.concat(rows))[0]

    common = None
    made = [outcome() for _ in range(40)]
    assert np.mean(np.isin(made, ["fails", "in part"])) <= 0.1


def test_a_bound_on_the_centre_alone_holds_in_part():
    assert outcomes("well-bound", well=well(bound=lambda e: 252)) == ["in part"]


# --- the page -------------------------------------------------------------------------------------


def test_verdicts_are_drawn_with_every_panel_in_its_cell():
    from ledger.pages import verdicts_html

    rows = paper_rows(pd.concat([SHARP[SHARP["seed"] < 5], BASE], ignore_index=True))
    judgements = judge_claims(Evidence(runs=rows, well=well(closer)))
    html = verdicts_html(judgements)
    assert html.count("<tr>") == len(CRITERIA) + 2
    cells = [line.count("<td") for line in html.split("<tr>")[3:]]
    assert set(cells) == {10 + 3 + 3}  # panels, gaps, others
    subjects = {f.subject for j in judgements for f in j.findings}
    shown = sum(html.count(f'aria-label="{subject}: ') for subject in subjects)
    assert shown == sum(len(j.findings) for j in judgements)
    assert f"{len(CRITERIA)} claims: " in html and "reproduced on one panel" in html
    assert all(f'href="#{c.id}"' in html for c in CRITERIA)


def test_cards_show_figures_reasons_and_links(tmp_path):
    from ledger.pages import ledger_html

    (tmp_path / "phase_transition.md").write_text("# A <page>\n\n    name: fig-2-mnist\n")
    evidence = Evidence(runs=paper_rows(pd.concat([SHARP, BASE], ignore_index=True)))
    criterion = next(c for c in CRITERIA if c.id == "burn-in-lowers-threshold")
    findings = JUDGES[criterion.id](evidence)
    html = ledger_html([Judgement(criterion, findings)], tmp_path)
    assert findings[0].measured in html and 'data-verdict="reproduced"' in html
    assert "reproduced on one panel" in html and "Not run: 3" in html
    assert 'data-colour="·"' in html and "Amended." in html  # one panel of four is grey
    assert 'href="phase_transition.html#fig-2-mnist">A &lt;page&gt;<' in html
    (tmp_path / "phase_transition.md").unlink()
    assert "href" not in ledger_html([Judgement(criterion, findings)], tmp_path)
