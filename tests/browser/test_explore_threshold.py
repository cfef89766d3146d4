"""The explorable figure of thresholds: what it reads off is what `dofbook.success` computes."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dofbook import experiments
from dofbook.figures import interactive, phase
from dofbook.success import (
    curves,
    first_threshold,
    inverted_interval,
    required_successes,
    run_values,
    success_counts,
    wilson_interval,
)
from dofbook.success.thresholds import Threshold

pytestmark = pytest.mark.browser

PUBLISHED = ("mnist_conv2", "fashion_mnist_conv2", "digits_conv2_directions")
# The colours that a page of the book has besides custom.css, whose variables only the theme sets.
THEME = "theme/pydata_sphinx_theme/static/styles/pydata-sphinx-theme.css"
# Contrast of every text and mark with the box behind it: (word, ratio), as WCAG 2 defines it.
CONTRAST = r"""() => {
    const box = document.querySelector('.explore');
    const light = (colour) => {
        const canvas = new OffscreenCanvas(1, 1).getContext('2d');
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = light(getComputedStyle(box).backgroundColor);
    const ratio = (colour) => {
        const [low, high] = [behind, light(colour)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const words = [...box.querySelectorAll('svg text')].map(e => getComputedStyle(e).fill);
    const marks = [...box.querySelectorAll('svg circle, svg g > path')].map(e => {
        const {fill, stroke} = getComputedStyle(e);
        return Math.max(...[fill, stroke].filter(c => c !== 'none').map(ratio));
    });
    return {words: Math.min(...words.map(ratio)), marks: Math.min(...marks)};
}"""


@pytest.fixture(scope="module")
def synthetic():
    """Ten runs on half octaves, one on the level in single precision, one diverged."""
    rng = np.random.default_rng(3)
    dims = [4, 6, 8, 11, 16, 23, 32]
    rows = pd.DataFrame([(d, s) for d in dims for s in range(10)], columns=["d", "seed"])
    accuracy = np.clip(0.25 * np.log2(rows.d) - 0.2 + 0.06 * rng.standard_normal(len(rows)), 0, 1)
    rows["best_train_accuracy"] = accuracy.astype(np.float32)
    rows["best_test_accuracy"] = (0.9 * accuracy).astype(np.float32)
    rows.loc[(rows.d == 16) & (rows.seed == 0), "best_train_accuracy"] = np.float32(0.9)
    rows.loc[(rows.d == 16) & (rows.seed == 1), "best_train_accuracy"] = np.nan
    rows = rows.assign(dataset="made", network="mlp", method="affine", burn_in_steps=0, step=1)
    fewer = rows[rows.seed < 4].assign(method="lottery_ticket")
    return pd.concat([rows, fewer], ignore_index=True)


@pytest.fixture(scope="module")
def published():
    return pd.concat([experiments.read_published(name) for name in PUBLISHED])


def figure_of(table):
    return interactive("threshold", phase.threshold_data(table), fallback="fig-own-threshold")


def menu(page, name):
    return page.get_by_role("combobox", name=name)


def choose(page, name, option):
    menu(page, name).select_option(option)


def press(page, name, *keys):
    """Press keys in a slider; give the value it then shows."""
    slider = page.get_by_role("slider", name=re.compile(name))
    slider.focus()
    for key in keys:
        page.keyboard.press(key)
    return float(slider.get_attribute("aria-valuetext").rstrip("%"))


def read(page, name):
    return page.locator(f"[data-reading={name}]").text_content()


def words(d, grid, above):
    return f"{above} {grid[-1]}" if np.isinf(d) else f"{d:.0f}"


def compare(page, rows, metric, n, level, delta):
    """Compare everything that the figure says with `dofbook.success`."""
    runs = run_values(rows, metric)
    dims, values = runs.dims, runs.values[:, :n]
    k = success_counts(values, [level], kind="accuracy")[0][:, 0]
    star = Threshold(float(first_threshold(dims, k, n, delta)), dims[0], dims[-1])
    sign = "=" if star.censored == "none" else ""
    wanted = f"d* {sign} {star.value_text()}".replace("<=", "≤").replace("  ", " ")
    assert read(page, "star") == wanted
    assert wanted in page.locator(".explore svg").text_content()
    assert read(page, "needed") == f"{required_successes(n, delta)} of {n}"
    seen = -1 if star.censored == "above" else list(dims).index(star.value)
    assert read(page, "hits") == str(k[seen])
    low, high = inverted_interval(dims, k, n, delta)
    start = f"at most {dims[0]}" if low == dims[0] else f"{low:.0f}"
    assert read(page, "range") == f"{start} to {words(high, dims, 'above')}"
    ends = zip(*wilson_interval(k, n), strict=True)
    expected = [
        f"d = {d}: {hits} of {n}, 95% interval {a:.2f} to {b:.2f}"
        for d, hits, (a, b) in zip(dims, k, ends, strict=True)
    ]
    assert page.locator(".explore svg title").all_text_contents() == expected
    dots = page.locator(".explore svg > circle")
    assert dots.count() == np.isfinite(values).sum()
    assert page.locator(".explore svg > circle[fill='#009E73']").count() == k.sum()


def test_the_synthetic_table_read_by_keyboard(explore, synthetic):
    page = explore(figure_of(synthetic))
    rows = dict(zip(("affine", "ticket"), (rows for _, rows in curves(synthetic)), strict=True))
    moves = [
        ([], []),  # 90%, which one run has to the last bit
        (["ArrowLeft"] * 3, ["ArrowRight"] * 5),
        (["PageDown", "PageDown"], ["PageUp"]),
        (["Home"], ["Home"]),
        (["End"], ["End"]),
        (["PageDown"] * 4 + ["ArrowRight"], ["ArrowLeft", "ArrowLeft"]),
    ]
    seen = set()
    for level_keys, delta_keys in moves:
        level = press(page, "Level", *level_keys) / 100
        delta = press(page, "fail", *delta_keys)
        for n in (10, 5, 3):
            choose(page, "Seeds", str(n))
            compare(page, rows["affine"], "train_accuracy", n, level, delta)
            seen.add(read(page, "star"))
    assert len(seen) > 4 and {"d* ≤ 4", "d* > 32"} < seen
    choose(page, "Accuracy", "test")
    compare(page, rows["affine"], "test_accuracy", 3, level, delta)
    choose(page, "Subspaces", "lottery ticket")
    offered = menu(page, "Seeds").locator("option").all_text_contents()
    assert offered == ["3", "4"]
    compare(page, rows["ticket"], "test_accuracy", 3, level, delta)


def test_the_published_runs_at_every_choice_of_curve(explore, published):
    page = explore(figure_of(published))
    for name, block in published.groupby("dataset", sort=False):
        panel = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}.get(name, name)
        choose(page, "Data and network", f"Conv-2 on {panel}")
        options = menu(page, "Subspaces").locator("option").all_text_contents()
        members = [rows for _, rows in curves(block)]
        for place, (option, rows) in enumerate(zip(options, members, strict=True)):
            choose(page, "Subspaces", option)
            choose(page, "Seeds", str(min(rows.seed.nunique(), (3, 5, 10)[place % 3])))
            n = int(menu(page, "Seeds").input_value())
            level = press(page, "Level", ("PageDown", "ArrowRight", "End", "PageDown")[place % 4])
            delta = press(page, "fail", ("PageUp", "ArrowRight", "Home")[place % 3])
            compare(page, rows, "train_accuracy", n, level / 100, delta)


def test_a_choice_is_kept_where_the_next_data_set_has_it(explore, published):
    page = explore(figure_of(published))
    choose(page, "Subspaces", "burn-in affine, t = 16")
    choose(page, "Seeds", "3")
    choose(page, "Data and network", "Conv-2 on Fashion-MNIST")
    assert menu(page, "Subspaces").input_value() == "burn-in affine, t = 16"
    assert menu(page, "Seeds").input_value() == "3"
    choose(page, "Data and network", "Conv-2 on digits")
    assert menu(page, "Subspaces").input_value() == "random affine"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_and_can_be_read(explore, fits, published, width, scheme):
    theme = pytest.importorskip("pydata_sphinx_theme")
    page = explore(figure_of(published), width=width, scheme=scheme)
    page.add_style_tag(content=(Path(theme.__file__).parent / THEME).read_text())
    page.evaluate(f"document.documentElement.dataset.theme = '{scheme}'")
    for data in ("Conv-2 on MNIST", "Conv-2 on digits"):
        choose(page, "Data and network", data)
        for key in ("Home", "End"):
            press(page, "Level", key)
            fits(page)
            found = page.evaluate(CONTRAST)
            assert found["words"] >= 4.5
            assert found["marks"] >= 3


def test_the_static_figure_stands_in_print_alone(explore, swaps, synthetic):
    swaps(explore(figure_of(synthetic)))
