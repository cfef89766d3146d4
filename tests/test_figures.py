"""Figures: what is drawn is what the table says, and it can be read."""

import math
import re
import subprocess
import sys
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from dofbook.errors import InputError
from dofbook.figures import (
    NotebookFigure,
    figure_2,
    figure_3,
    figure_6,
    figure_12,
    plot_success,
)
from dofbook.success import (
    baseline_accuracy,
    curves,
    phase_boundary,
    run_values,
    success_fraction,
    threshold_band,
)

OCTAVES = 2 ** np.arange(9)
MAKERS = {"figure_2": figure_2, "figure_3": figure_3, "figure_12": figure_12}


def make_table(
    datasets=("digits",), burn_in=(0, 16), dims=OCTAVES, runs=4, network="conv2",
    method="affine", baseline=True, seed=0,
):  # fmt: skip
    """Draw accuracies whose logit rises linearly in log2 d, from that of w_t."""
    rng = np.random.default_rng(seed)
    common = {"network": network, "D": 20_490, "epoch": 0.0}
    rows = []
    for dataset in datasets:
        for t in burn_in:
            for run in range(runs):
                shift = 0.3 * rng.standard_normal()
                start = 0.1 + 0.02 * t + 0.01 * run
                for d in dims:
                    rise = 1 / (1 + math.exp(4 - 0.9 * math.log2(d) - 0.1 * t - shift))
                    end = start + (0.97 - start) * rise
                    name = {"dataset": dataset, "method": method, "burn_in_steps": t, "d": int(d)}
                    for step, accuracy in ((0, start), (100, end), (200, end - 0.01)):
                        rows.append(
                            {**common, **name, "seed": run, "step": step, "learning_rate": 0.05,
                             "train_accuracy": accuracy, "best_train_accuracy": max(start, end)
                             if step else start}
                        )  # fmt: skip
        for rate, level in ((0.05, 0.95), (0.01, 0.98)) if baseline else ():
            name = {"dataset": dataset, "method": "full", "burn_in_steps": 0, "d": 20_490}
            rows.append(
                {**common, **name, "seed": 0, "step": 200, "learning_rate": rate,
                 "train_accuracy": level, "best_train_accuracy": level}
            )  # fmt: skip
    table = pd.DataFrame(rows)
    for prefix in ("", "best_"):
        train = table[f"{prefix}train_accuracy"]
        table[f"{prefix}test_accuracy"] = train - 0.02
        table[f"{prefix}train_loss"] = 1 - train
        table[f"{prefix}test_loss"] = 1.1 * (1 - train)
    return table


def render(figure):
    """Draw with the Agg renderer; a bare Figure's own canvas draws nothing."""
    FigureCanvasAgg(figure).draw()


def panels(figure):
    """List the axes that carry data."""
    return [ax for ax in figure.axes if "dimension" in ax.get_xlabel()]


def named(ax, gid):
    """List the lines or bands of one kind in a panel."""
    return [artist for artist in ax.get_children() if artist.get_gid() == gid]


def check_legible(figure):
    """Assert type of at least 9 points, nothing cut off, and no two labels of an axis touching."""
    render(figure)
    box = figure.bbox
    drawn = []
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = axis.get_view_interval()
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            labels = [label for tick in ticks for label in (tick.label1, tick.label2)]
            labels = [label for label in labels if label.get_visible() and label.get_text()]
            drawn += labels
            extents = [label.get_window_extent() for label in labels]
            assert not any(a.overlaps(b) for a, b in combinations(extents, 2))
        drawn += [ax.title, ax.xaxis.label, ax.yaxis.label]
    drawn += figure.legends[0].get_texts()
    for text in drawn:
        if not text.get_text():
            continue
        extent = text.get_window_extent()
        inside = extent.x0 >= -1 and extent.x1 <= box.x1 + 1 and extent.y0 >= -1
        assert inside and extent.y1 <= box.y1 + 1, text
        assert text.get_fontsize() >= 9
    for a, b in combinations([ax.title for ax in figure.axes if ax.get_title()], 2):
        assert not a.get_window_extent().overlaps(b.get_window_extent())


def own_metric(name, change):
    """A table with another metric that counts up beside its accuracies."""
    table = make_table()
    for prefix in ("", "best_"):
        table[f"{prefix}test_{name}"] = change(table[f"{prefix}test_accuracy"])
    return table


@pytest.mark.parametrize(
    ("metric", "level", "title"),
    [
        ("train_accuracy", 0.542, "training accuracy ≥ 54.2%"),
        ("test_loss", 0.5, "test loss ≤ 0.5"),
    ],
)
def test_the_panel_of_success_says_at_what(metric, level, title):
    figure = plot_success(make_table(), metric, level=level)
    assert figure.axes[1].get_title() == title


@pytest.mark.parametrize(
    ("name", "change"),
    [("r2", lambda x: 2 * x - 1), ("correct", lambda x: 10_000 * x), ("balanced_accuracy", None)],
)
def test_only_fractions_are_drawn_in_per_cent(name, change):
    """An R^2, which may be negative, and a count are drawn in their own unit."""
    table, metric = own_metric(name, change or (lambda x: x)), f"test_{name}"
    scale = 1 if change else 100
    (_, rows), *_ = curves(table)
    runs = run_values(rows, metric)
    boundary = scale * phase_boundary(runs.values, 0.25, kind="accuracy")
    figures = {
        "figure_2": figure_2(table, metric, delta=0.25),
        "figure_3": figure_3(table, (metric,), delta=0.25),
        "figure_12": figure_12(table, metric),
        "figure_6": figure_6(table, metric),
        "success": plot_success(table, metric, delta=0.25),
    }
    for which, figure in figures.items():
        render(figure)
        ax = next(ax for ax in figure.axes if named(ax, "curve"))
        assert ("(%)" in ax.get_ylabel()) == (scale == 100)
        drawn = named(ax, "curve")[0].get_ydata()
        if which not in ("figure_6", "figure_12"):
            np.testing.assert_allclose(drawn, boundary)
        low, high = ax.get_ylim()
        assert low <= np.nanmin(drawn) and np.nanmax(drawn) <= high


# --- Figure 2 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["train_accuracy", "test_loss"])
def test_figure_2_draws_the_success_probability_and_the_threshold(metric):
    table = make_table()
    figure = figure_2(table, metric, delta=0.25)
    *maps, overlay = panels(figure)
    assert [ax.get_title() for ax in maps] == ["random affine", "burn-in affine, t = 16"]
    scale, kind = (100, "accuracy") if metric == "train_accuracy" else (1, "loss")
    for ax, (_, rows) in zip(maps, curves(table), strict=True):
        runs = run_values(rows, metric)
        mesh = ax.collections[0]
        edges = mesh.get_coordinates()[:, 0, 1] / scale
        middle = (
            (edges[1:] + edges[:-1]) / 2 if kind == "accuracy" else np.sqrt(edges[1:] * edges[:-1])
        )
        expected = success_fraction(runs.values, middle, kind=kind)
        np.testing.assert_array_equal(np.asarray(mesh.get_array()), expected.T)
        assert mesh.to_rgba(0.0) == (1, 1, 1, 1)
        assert mesh.to_rgba(1.0) == (0, 0, 0, 1)
        # Each column of cells holds its own d, in the middle of the octave.
        np.testing.assert_allclose(mesh.get_coordinates()[0, :, 0], 2.0 ** (np.arange(10) - 0.5))
        (line,) = named(ax, "curve")
        boundary = scale * phase_boundary(runs.values, 0.25, kind=kind)
        np.testing.assert_array_equal(line.get_xdata(), runs.dims)
        np.testing.assert_allclose(line.get_ydata(), boundary)
        assert any(np.array_equal(line.get_ydata(), x.get_ydata()) for x in named(overlay, "curve"))
        assert ax.get_yscale() == ("linear" if kind == "accuracy" else "log")
        assert ax.get_xscale() == "log"
    assert len(named(overlay, "curve")) == 2


def test_figure_2_draws_the_better_baseline_in_every_panel():
    table = make_table(datasets=("mnist", "cifar10"))
    figure = figure_2(table)
    level = baseline_accuracy(table, "train_accuracy").baseline
    assert level.tolist() == [0.98, 0.98]
    for ax in panels(figure):
        (line,) = named(ax, "baseline")
        assert line.get_ydata() == [98, 98]
        assert line.get_linestyle() == "--"
        low, high = ax.get_ylim()
        assert low < 98 < high
    without = figure_2(make_table(baseline=False))
    assert not any(named(ax, "baseline") for ax in panels(without))
    assert "full training" not in [text.get_text() for text in without.legends[0].get_texts()]


def test_figure_2_wraps_and_the_last_panel_fills_its_row():
    table = make_table(datasets=("mnist", "cifar10"), burn_in=(0, 4, 8, 16), runs=2)
    shapes = {}
    for columns in (1, 2, 5):
        figure = figure_2(table, columns=columns)
        axes = panels(figure)
        assert len(axes) == 10
        shapes[columns] = axes[0].get_subplotspec().get_gridspec().get_geometry()
        overlay = axes[4].get_subplotspec()
        assert overlay.colspan.stop == columns
        assert axes[0].get_ylabel().startswith("Conv-2 on MNIST")
        assert axes[5].get_ylabel().startswith("Conv-2 on CIFAR-10")
    assert shapes == {1: (10, 1), 2: (6, 2), 5: (2, 5)}


def test_limits_are_kept():
    ax = panels(figure_2(make_table(), limits=(0.5, 1.0)))[0]
    assert ax.get_ylim() == (50, 100)
    ax = panels(figure_3(make_table(), limits=(0.5, 1.0)))[0]
    assert ax.get_ylim() == (50, 100)


# --- Figure 3 -------------------------------------------------------------------------------------


def test_figure_3_draws_thresholds_with_their_intervals():
    table = make_table(datasets=("mnist", "cifar10"))
    figure = figure_3(table, delta=0.25)
    axes = panels(figure)
    assert [ax.get_title() for ax in axes] == ["Conv-2 on MNIST"] * 2 + ["Conv-2 on CIFAR-10"] * 2
    assert [ax.get_ylabel() for ax in axes] == ["training accuracy (%)", "test accuracy (%)"] * 2
    rows = {key: group for key, group in curves(table) if key.dataset == "mnist"}
    for ax, metric in zip(axes, ("train_accuracy", "test_accuracy"), strict=False):
        lines, bands = named(ax, "curve"), named(ax, "band")
        for line, band, group in zip(lines, bands, rows.values(), strict=True):
            runs = run_values(group, metric)
            np.testing.assert_allclose(
                line.get_ydata(), 100 * phase_boundary(runs.values, 0.25, kind="accuracy")
            )
            vertices = band.get_paths()[0].vertices
            levels = np.unique(vertices[:, 1])
            assert levels[0] == pytest.approx(100 * runs.values.min())
            assert levels[-1] == pytest.approx(100 * runs.values.max())
            some = levels[len(levels) // 2]
            given = {"kind": "accuracy", "delta": 0.25}
            ends = threshold_band(runs.dims, runs.values, [some / 100], **given)
            drawn = vertices[np.isclose(vertices[:, 1], some), 0]
            assert drawn.min() == pytest.approx(ends[0][0])
            assert drawn.max() == pytest.approx(min(ends[1][0], 1e3 * runs.dims[-1]))
        assert named(ax, "baseline")[0].get_linestyle() == ":"


# --- Figure 12 ------------------------------------------------------------------------------------


def test_figure_12_has_no_offset_where_it_differs_from_d_to_d():
    """The offset of a pruned network is the masked w0, another one for every d."""
    table = make_table(burn_in=(0,), method="lottery_ticket", baseline=False)
    start = table["step"] == 0
    table.loc[start, "train_accuracy"] += 0.001 * table.loc[start, "d"]
    (line,) = named(panels(figure_12(table))[0], "curve")
    assert line.get_xdata()[0] == 0 and np.isnan(line.get_ydata()[0])
    assert np.isfinite(line.get_ydata()[1:]).all()


def test_figure_12_starts_at_the_accuracy_of_the_offset():
    table = make_table(runs=5)
    (ax,) = panels(figure_12(table, max_d=64))
    for line, area, (key, rows) in zip(
        named(ax, "curve"), named(ax, "band"), curves(table), strict=True
    ):
        start = rows[rows.step == 0].groupby("seed").train_accuracy.first()
        values = run_values(rows, "train_accuracy").values[:7]
        assert line.get_xdata().tolist() == [0, 1, 2, 4, 8, 16, 32, 64]
        np.testing.assert_allclose(line.get_ydata()[0], 100 * start.mean())
        np.testing.assert_allclose(start.mean(), 0.12 + 0.02 * key.burn_in_steps)
        np.testing.assert_allclose(line.get_ydata()[1:], 100 * values.mean(axis=1))
        at_zero = area.get_paths()[0].vertices
        at_zero = at_zero[at_zero[:, 0] == 0, 1]
        low, high = start.min(), start.max()
        np.testing.assert_allclose(
            (at_zero.min(), at_zero.max()), (100 * low, 100 * high), rtol=1e-6
        )
    assert ax.get_xlim()[0] < 0


# --- all ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("columns", [1, 2, 5])
def test_text_is_legible(maker, columns):
    datasets = ("fashion_mnist", "cifar10") if maker != "figure_2" else ("fashion_mnist",)
    table = make_table(datasets, (0, 4, 8, 16), 4 ** np.arange(7), 3)
    figure = MAKERS[maker](table, columns=columns)
    check_legible(figure)
    if columns <= 2:
        # At 350 CSS pixels, a phone's text width, the smallest type is 9 pixels high.
        assert 10 * 350 / (72 * figure.get_figwidth()) > 9


@pytest.mark.parametrize("maker", ["figure_2", "figure_3"])
def test_loss_is_legible(maker):
    argument = {"metric": "test_loss"} if maker == "figure_2" else {"metrics": ["test_loss"]}
    for dims in (4 ** np.arange(7), 2 ** np.arange(3)):
        check_legible(MAKERS[maker](make_table(dims=dims), **argument))


def test_methods_keep_their_style_and_differ_without_colour():
    all_times = make_table(burn_in=(0, 4, 8, 16), runs=2)
    other = make_table(method="lottery_ticket", burn_in=(0, 3), runs=2, baseline=False)
    few = panels(figure_2(make_table(burn_in=(16,), runs=2)))[-1]
    many = panels(figure_2(pd.concat([all_times, other])))[-1]
    (alone,) = named(few, "curve")
    lines = named(many, "curve")
    assert alone.get_color() == lines[3].get_color()
    assert alone.get_marker() == lines[3].get_marker()
    for look in (lambda line: to_rgba(line.get_color()), lambda line: line.get_marker()):
        assert len({look(line) for line in lines}) == 6
    legend = panels(figure_2(pd.concat([all_times, other])))[0].figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == [
        "random affine", "burn-in affine, t = 4", "burn-in affine, t = 8",
        "burn-in affine, t = 16", "lottery ticket", "lottery ticket, t = 3", "full training",
    ]  # fmt: skip


def test_diverged_runs_leave_gaps_and_raise_nothing():
    table = make_table(runs=3)
    lost = (table.seed == 0) & (table.d >= 32)
    for metric in ("train_accuracy", "train_loss"):
        table.loc[lost, [metric, f"best_{metric}"]] = math.nan
    render(figure_2(table, "train_accuracy"))
    render(figure_3(table, ["train_accuracy", "train_loss"]))
    render(figure_12(table, "train_loss"))
    lines = named(panels(figure_12(table))[0], "curve")
    assert np.isnan(lines[0].get_ydata()[-1])


def test_one_dimension_one_run_can_be_drawn():
    table = make_table(dims=[3], runs=1, baseline=False, burn_in=(0,))
    for maker in MAKERS.values():
        figure = maker(table)
        render(figure)
        labels = [label.get_text() for label in panels(figure)[0].get_xticklabels()]
        assert set(labels) & {"1", "2", "3"}


def test_figures_show_themselves_in_notebooks_without_pyplot():
    figure = figure_12(make_table(runs=2))
    assert isinstance(figure, Figure)
    assert f'width="{72 * figure.get_figwidth():g}pt"' in figure._repr_svg_()
    assert figure.in_format("png").startswith(b"\x89PNG")
    assert figure.in_format("pdf").startswith(b"%PDF")
    code = "import sys, dofbook.figures; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert isinstance(figure, NotebookFigure)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda table: figure_2(table, columns=0), "columns is 0"),
        (lambda table: figure_2(table, "accuracy"), "metric is 'accuracy'"),
        (lambda table: figure_2(table, delta=2), "delta"),
        (lambda table: figure_2(table[table.method == "full"]), "no method but"),
        (lambda table: figure_3(table, []), "metrics is empty"),
        (lambda table: figure_12(table, max_d=0.5), "max_d is 0.5"),
        (lambda table: figure_12(table[table.step > 0]), "no checkpoint at step 0"),
        (
            lambda table: figure_12(table[(table.step > 0) | (table.burn_in_steps == 0)]),
            "no checkpoint at step 0 for burn-in",
        ),
        (lambda table: figure_2(table.assign(best_train_accuracy=math.nan)), "no finite value"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call(make_table(runs=2))


def test_an_svg_has_no_more_digits_than_show():
    figure = NotebookFigure()
    figure.subplots().plot([0, 1 / 3, 1], [0, 1 / 7, 1], "o-")
    places = [element.attrib for element in ElementTree.fromstring(figure.in_format("svg")).iter()]
    numbers = " ".join(at[name] for at in places for name in ("d", "x", "y") if name in at)
    assert re.search(r"\d\.\d", numbers) and not re.search(r"\.\d{3}", numbers)
