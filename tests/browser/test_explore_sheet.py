"""The line through a cut of the landscape, in Chromium, against a scan by the package."""

import re

import numpy as np
import pytest

from dofbook.experiments import read_published
from dofbook.figures import interactive
from dofbook.figures.landscape import sheet_data
from dofbook.landscape import line_hits

pytestmark = pytest.mark.browser

DATA = sheet_data(read_published("ntk_cuts"), "mnist")
FIGURE = interactive("sheet", DATA, fallback="fig-sheet")
ANGLE, ANCHOR, EPS = 0, 1, 2  # the sliders in their order
GREEN = "rgb(0, 158, 115)"


def scan(eps, anchor, angles):
    x, y, loss, start, end = (np.array(DATA[k]) for k in ("x", "y", "loss", "start", "end"))
    point = start + anchor / 100 * (end - start)
    return line_hits(x, y, loss, np.log10(eps), point, np.deg2rad(angles), samples=2000)


def read(page):
    words = page.locator('[data-reading="sheet"]').inner_text()
    found = re.fullmatch(
        r"This line (hits|misses) the target\. From here (\d+)\s% of all directions hit it\.", words
    )
    return found[1] == "hits", int(found[2])


def stroke(page):
    """The colour of the line: that of the only path as wide as 3."""
    return page.locator('svg[role=img] path[stroke-width="3"]').evaluate(
        "e => getComputedStyle(e).stroke"
    )


def move(page, which, key, times=1):
    slider = page.locator(".explore input").nth(which)
    slider.focus()
    for _ in range(times):
        page.keyboard.press(key)


def eps(page):
    return 10 ** float(page.locator(".explore input").nth(EPS).input_value())


def test_a_line_hits_or_misses_as_on_the_grid(explore):
    page = explore(FIGURE)
    move(page, ANGLE, "Home")
    found, expected = [], scan(0.1, 0, np.arange(0, 181, 5))
    for _ in expected:
        found.append(read(page)[0])
        assert (stroke(page) == GREEN) == found[-1]
        move(page, ANGLE, "ArrowRight", 5)
    assert 0 < np.mean(expected) < 1
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("anchor", "steps"), [(0, 6), (30, 6), (60, 2), (60, 12), (0, 26), (0, 0)])
def test_the_share_of_directions_is_that_of_a_scan(explore, anchor, steps):
    page = explore(FIGURE)
    move(page, EPS, "Home")
    move(page, EPS, "ArrowRight", steps)
    move(page, ANCHOR, "ArrowRight", anchor)
    assert eps(page) == pytest.approx(10 ** (-1.3 + 0.05 * steps))
    share = scan(eps(page), anchor, np.arange(0, 180, 0.25)).mean()
    assert read(page)[1] == pytest.approx(100 * share, abs=1)


def test_from_the_trained_weights_every_line_hits(explore):
    page = explore(FIGURE)
    before = read(page)
    assert before == (
        False,
        pytest.approx(100 * scan(0.1, 0, np.arange(0, 180, 0.5)).mean(), abs=1),
    )
    move(page, ANCHOR, "End")
    assert read(page) == (True, 100)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_and_stands_in_for_the_static_figure(explore, fits, swaps, width, scheme):
    page = explore(FIGURE, width, scheme)
    fits(page)
    move(page, ANCHOR, "End")
    fits(page)
    swaps(page)


def test_a_link_to_the_static_figure_leads_to_it(explore):
    page = explore(FIGURE)
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', "
        "'<p style=\"margin-top: 5000px\"><a href=#fig-sheet>Fig. 1</a></p>')"
    )
    for _ in range(2):  # the second time the address does not change
        page.locator("a").click()
        page.wait_for_function(
            "Math.abs(document.querySelector('.explore').getBoundingClientRect().top) < 99"
        )
