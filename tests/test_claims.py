"""Judges of the claims against synthetic tables whose verdict is known, in both directions."""

import inspect
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ledger import criteria, landscapes, verdicts
from ledger.criteria import CRITERIA, DIMS, RUNS
from ledger.evidence import (
    Evidence,
    linearized_rows,
    load_evidence,
    load_tables,
    paper_rows,
)
from ledger.ledger import JUDGES, judge_claims
from ledger.panels import crossings
from ledger.verdicts import Estimate, Finding, Judgement, count_verdicts, side

from dofbook.success.tables import RunValues

EPOCHS = {("mnist", "conv2"): 3, ("cifar10", "conv2"): 4, ("mnist", "conv3"): 4}
D = {("mnist", "conv2"): 20_522, ("cifar10", "conv2"): 25_578, ("mnist", "conv3"): 61_514}
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


def test_without_results_nothing_is_run_and_every_panel_says_why(tmp_path):
    judgements = judge_claims(load_evidence(tmp_path))
    assert {j.verdict for j in judgements} == {"not run"}
    assert all(f.note and not f.measured for j in judgements for f in j.findings)
    assert count_verdicts(judgements)["not run"] == (len(CRITERIA), 0)


def test_ledger_of_one_panel_runs_whole():
    rows = paper_rows(pd.concat([SHARP, BASE], ignore_index=True))
    judgements = {j.criterion.id: j for j in judge_claims(Evidence(runs=rows))}
    for name in ("sharp-transition", "burn-in-lowers-threshold", "small-fraction"):
        assert judgements[name].verdict == "reproduced" and judgements[name].panels_run == 1
    assert judgements["other-architectures"].verdict == "not run"
    assert judgements["lottery-full-accuracy"].findings[0].note == "no runs of lottery subspaces."


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
FAILS = {
    "sharp-transition": BLURRED,
    "threshold-tracks-boundary": affine(centres=(5.0,) * 4, spread=4.0),
    "burn-in-lowers-threshold": LATE,
    "more-burn-in-lower-threshold": LATE,
    "threshold-falls-with-initial-loss": LATE,
    "small-fraction": affine(centres=(11.3,) * 4, slope=8),
    "large-width": affine(centres=(11.3,) * 4, slope=8),
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


def test_threshold_that_does_not_rise_fails():
    step = affine(slope=1000.0, centres=(6.5,) * 4, spread=0.0)  # every level at the same d
    assert outcomes("threshold-rises-as-loss-falls", step) == ["fails"]


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
    lacking = SHARP[~((SHARP["d"] == 64) & (SHARP["seed"] == 9) & (SHARP["burn_in_steps"] == 0))]
    evidence = Evidence(runs=paper_rows(pd.concat([lacking, BASE], ignore_index=True)))
    finding = next(f for f in JUDGES[claim](evidence) if f.subject == "Conv-2 on MNIST")
    assert finding.outcome == "not run" and "t = 0" in finding.note
    assert ("12 of 13" if claim != "burn-in-early-dimensions" else "7 of 8") in finding.note


@pytest.mark.parametrize("times", [(0,), (0, 4, 8, 16)])
def test_an_extra_seed_at_one_d_changes_nothing(times):
    """A sweep with more seeds that has only begun must not cost the panel its verdicts."""
    begun = SHARP[(SHARP["d"] == 1) & (SHARP["seed"] == 0) & SHARP["burn_in_steps"].isin(times)]
    begun = begun.assign(seed=10, train_loss=9.0, train_accuracy=0.9)
    for claim in ("threshold-falls-with-initial-loss", "burn-in-early-dimensions", "test-accuracy"):
        assert found(claim, SHARP, BASE, begun) == found(claim, SHARP, BASE)


def test_a_run_that_did_not_reach_its_last_epoch_is_missing():
    cut = SHARP[~((SHARP["d"] == 64) & (SHARP["epoch"] == 3))]
    assert found("sharp-transition", cut, BASE) == []


def test_a_missing_baseline_means_not_run():
    half = BASE[BASE["learning_rate"] == 1e-2]
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
        part.to_parquet(tmp_path / f"{name}.parquet")
    rows, _ = load_tables(tmp_path)
    assert len(rows) > len(SHARP) and set(rows["table"]) == {"a", "b"}
    assert set(paper_rows(rows)["table"]) == {"a"} and len(paper_rows(rows)) == len(SHARP)


def test_the_extra_burn_in_step_is_read_from_the_provenance(tmp_path):
    SHARP.assign(cell="one").to_parquet(tmp_path / "a.parquet")
    text = '{"cells": {"one": {"task": {"extra_burn_in_step": 1}}}}'
    (tmp_path / "a.provenance.json").write_text(text)
    assert paper_rows(load_tables(tmp_path)[0]).empty


def test_variants_of_a_method_do_not_count():
    centred = other("lottery_subspace", 2.0, variant="centred")
    plain = other("lottery_subspace", 5.0, variant=None)
    kept = paper_rows(pd.concat([centred, plain], ignore_index=True))
    assert kept["variant"].isna().all() and len(kept) == len(plain)


# --- lottery subspaces and tickets ----------------------------------------------------------------

LOTTERY = other("lottery_subspace", 4.0)
EVEN = affine(starts=0.0)  # burn-in lowers thresholds but starts no higher
TICKET_DIMS = (40, 205, 410, 1026, 2052)


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
    assert outcomes(claim, LOTTERY, tickets(9.0)) == ["holds"]
    assert outcomes(claim, LOTTERY, tickets(1.0, top=FULL)) == ["fails"]
    assert outcomes(claim, LOTTERY) == []


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


def test_table_1():
    general = [SHARP, BASE, LOTTERY]
    pruned = other("random_pruning", 10.0, dims=(256, 512, 1024, 2048, 4096))
    assert outcomes("table-1-order", *general, pruned, tickets(7.0)) == ["holds"]
    assert outcomes("table-1-order", *general, pruned, tickets(12.0)) == ["in part"]
    reverse = [LATE, BASE, other("lottery_subspace", 9.0), pruned, tickets(12.0)]
    assert outcomes("table-1-order", *reverse) == ["fails"]
    assert outcomes("table-1-order", *general, tickets(7.0)) == []


def test_a_shorter_grid_is_no_advantage_in_table_1():
    """Tickets up to 2052 never get there; random pruning does, but beyond that size."""
    general = [SHARP, BASE, LOTTERY, other("random_pruning", 10.5, dims=(256, 1024, 4096))]
    assert outcomes("table-1-order", *general, tickets(14.0)) == ["in part"]


def spectra(exponents, spread=0.02):
    """Power laws by (data set, network), with noise over seeds."""
    generator, parts = np.random.default_rng(0), []
    for (dataset, network), exponent in exponents.items():
        for seed in range(RUNS[network]):
            values = np.arange(1, 129.0) ** -(exponent + spread * generator.normal())
            parts.append(
                pd.DataFrame({
                    "dataset": dataset, "network": network, "seed": seed, "basis": "increments",
                    "index": np.arange(128), "singular_value": values,
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
    peak = other("lottery_subspace", 3.0, CIFAR, dims=(1, 4, 16, 64, 128))
    columns = ["train_accuracy", "best_train_accuracy"]
    fallen = peak.assign(**(peak[columns] - 0.05 * (peak[["d"]].to_numpy() == 128)))
    steep, flat = spectra({CIFAR: 2.0}), spectra({CIFAR: 0.1})
    claim = "accuracy-falls-with-spectrum"
    assert outcomes(claim, fallen, spectra=steep) == ["holds"]
    assert outcomes(claim, fallen, spectra=flat) == ["fails"]
    assert outcomes(claim, peak, spectra=steep) == ["fails"]
    assert outcomes(claim, fallen) == []


def test_transition_at_ten():
    dims = (1, 2, 4, 8, 12, 16, 32, 64)
    for centre, outcome in ((3.4, "holds"), (1.0, "fails"), (5.5, "fails")):
        lottery = other("lottery_subspace", centre, CIFAR, dims, slope=8.0)
        assert outcomes("cifar10-ten", lottery) == [outcome], centre


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
    (finding,) = found("ntk-threshold-close", linearized=linearized(1.0))  # one step of the grid
    assert "1.00 [1.00, 1.00]" in finding.measured


def test_tables_with_linearized_networks_are_kept_apart(tmp_path):
    network = SHARP[SHARP["burn_in_steps"] == 0].assign(
        nested=True, variant="", train_images=60_000
    )
    around = network.assign(method="linearized")
    parts = [network, around, around.assign(variant="around step 4"), network.assign(epochs=1),
             network.assign(method="linearized_exact")]  # fmt: skip
    table = pd.concat(parts, ignore_index=True)
    table.to_parquet(tmp_path / "ntk_mnist.parquet")
    SHARP.to_parquet(tmp_path / "mnist.parquet")
    runs, linear = load_tables(tmp_path)
    assert set(runs["table"]) == {"mnist"} and set(linear["table"]) == {"ntk_mnist"}
    kept = linearized_rows(linear)
    assert len(kept) == 2 * len(DIMS) * 10 and set(kept["model"]) == {"network", "linearized"}
    (finding,) = [
        f for f in JUDGES["ntk-threshold-close"](load_evidence(tmp_path)) if f.outcome != "not run"
    ]
    assert finding.outcome == "holds" and "0.00 [0.00, 0.00]" in finding.measured


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


def test_bootstrap_draws_whole_initializations():
    """The mean over (d, seed) varies by the seeds' spread, not by that of single cells."""
    generator = np.random.default_rng(1)
    seeds, dims = 40, 25
    values = np.repeat(generator.normal(size=seeds)[None], dims, axis=0)  # same at every d
    estimate = verdicts.bootstrap_estimate(lambda chosen: values[:, chosen].mean(), seeds)
    half = (estimate.upper - estimate.lower) / 2
    cluster = 1.96 * values[0].std() / np.sqrt(seeds)
    assert half == pytest.approx(cluster, rel=0.15)
    assert half > 3 * cluster / np.sqrt(dims)


def test_mean_estimate_is_students_interval():
    from scipy import stats

    sample = np.array([0.1, 0.4, -0.2, 0.3])
    ends = stats.t.interval(0.95, 3, sample.mean(), stats.sem(sample))
    assert verdicts.mean_estimate(sample)[1:] == pytest.approx(ends)
    assert verdicts.mean_estimate([1.0]) == Estimate(1.0, -np.inf, np.inf)


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
    [(-1, -2, -0.5, "holds"), (-1, -2, 0.5, "in part"), (1, 0.5, 2, "fails"), (0, 0, 0, "fails")],
)
def test_side_of_zero(value, lower, upper, outcome):
    assert side(Estimate(value, lower, upper), at_most=0) == outcome
    assert side(Estimate(-value, -upper, -lower), at_least=0) == outcome


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
    assert str(criteria.CLASS_STEP) in text["cifar10-ten"]
    assert "80, 90, 95 and 98 %" in inspect.getdoc(criteria)
    assert criteria.FRACTIONS == (0.8, 0.9, 0.95, 0.98)


# --- the page -------------------------------------------------------------------------------------


def test_cards_show_figures_reasons_and_links(tmp_path):
    from ledger.pages import ledger_html

    (tmp_path / "phase_transition.md").write_text("# A <page>\n\n    name: fig-2-mnist\n")
    evidence = Evidence(runs=paper_rows(pd.concat([SHARP, BASE], ignore_index=True)))
    criterion = next(c for c in CRITERIA if c.id == "burn-in-lowers-threshold")
    findings = JUDGES[criterion.id](evidence)
    html = ledger_html([Judgement(criterion, findings)], tmp_path)
    assert findings[0].measured in html and 'data-verdict="reproduced"' in html
    assert "reproduced (1 of 4 run)" in html and "Not run: 3" in html
    assert 'href="phase_transition.html#fig-2-mnist">A &lt;page&gt;<' in html
    (tmp_path / "phase_transition.md").unlink()
    assert "href" not in ledger_html([Judgement(criterion, findings)], tmp_path)
