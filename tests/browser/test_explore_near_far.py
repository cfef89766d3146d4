"""The near-and-far figure, in Chromium, against the package's closed forms."""

import numpy as np
import pytest
from scipy.optimize import brentq

from dofbook.figures import interactive
from dofbook.geometry import cones, escape

pytestmark = pytest.mark.browser

CAPS = 100
DATA = {
    "R": [1.02, 1.1, 1.5, 2.0, 3.0, 4.9, 10.0],
    "D": [20, 61, 100, 1000, 100_000],
    "start": {"R": 2.0, "D": 100},
    "caps": CAPS,
}
FIGURE = interactive("near_far", DATA, fallback="fig-near-far-hits")
EXACT = "d => d.map(x => document.querySelector('.explore').values.exact(x))"
VALUES = """() => (({w, angle, opening, threshold}) => ({w, angle, opening, threshold}))(
    document.querySelector('.explore').values)"""
MENU = ".explore select"


def read(page, name):
    return page.locator(f'[data-reading="{name}"]').inner_text()


def move(page, R, D):
    """Go to the first place with Home and on with ArrowRight."""
    for slider, values, value in zip((0, 1), (DATA["R"], DATA["D"]), (R, D), strict=True):
        place = page.locator(".explore input").nth(slider)
        place.focus()
        page.keyboard.press("Home")
        for _ in range(values.index(value)):
            page.keyboard.press("ArrowRight")
        assert place.get_attribute("aria-valuetext").split()[0] == f"{value:g}".replace(
            "1e+05", "100000"
        )


def some_dimensions(D):
    return np.unique(np.concatenate([np.linspace(0, D, 41).astype(int), [1, 2, D - 2, D - 1]]))


def check_bounds(page, D, width):
    for name, bound in (("gordon", "gordon"), ("sharp", "sharp")):
        m = escape.excluded_dimensions(D, width, bound=bound)
        assert read(page, name) == (f"for every d below {m}" if m else "for no d")


@pytest.mark.parametrize(
    ("R", "D"),
    [(1.02, 20), (10.0, 20), (1.5, 61), (2.0, 100), (4.9, 1000), (1.02, 100_000), (10.0, 100_000)],
)
def test_one_cap_is_the_closed_form(explore, R, D):
    page = explore(FIGURE)
    move(page, R, D)
    angle = cones.ball_angle(1.0, R)
    width, d = cones.cap_width(angle, D), some_dimensions(D)
    values = page.evaluate(VALUES)
    assert values["w"] == pytest.approx(width, rel=1e-7)
    assert values["angle"] == pytest.approx(angle, rel=1e-12)
    assert float(read(page, "w")) == pytest.approx(width, abs=0.00501)
    assert float(read(page, "threshold")) == pytest.approx(D - width**2, abs=0.0501)
    assert float(read(page, "angle")[:-1]) == pytest.approx(np.degrees(angle), abs=0.0501)
    exact = escape.cap_hit_probability(D, np.arange(D + 1), angle)
    np.testing.assert_allclose(page.evaluate(EXACT, d.tolist()), exact[d], rtol=0, atol=1e-6)
    assert read(page, "half") == str(np.argmax(exact >= 0.5))
    check_bounds(page, D, width)


@pytest.mark.parametrize(
    ("R", "D"), [(1.02, 20), (1.1, 61), (2.0, 100), (3.0, 1000), (4.9, 100_000)]
)
def test_many_caps_of_the_same_width_are_the_closed_form(explore, R, D):
    page = explore(FIGURE)
    page.locator(MENU).select_option("many")
    move(page, R, D)
    widest = cones.ball_angle(1.0, R)
    width, d = cones.cap_width(widest, D), some_dimensions(D)
    opening = brentq(lambda b: cones.cap_width(b, D, caps=CAPS) - width, 0, widest, xtol=1e-13)
    assert page.evaluate(VALUES)["opening"] == pytest.approx(opening, rel=1e-5)
    assert float(read(page, "opening")[:-1]) == pytest.approx(np.degrees(opening), abs=0.0501)
    exact = escape.cap_hit_probability(D, np.arange(D + 1), opening, caps=CAPS)
    at = page.evaluate(VALUES)["opening"]
    np.testing.assert_allclose(
        page.evaluate(EXACT, d.tolist()),
        escape.cap_hit_probability(D, d, at, caps=CAPS),
        rtol=0,
        atol=1e-6,
    )
    assert abs(int(read(page, "half")) - np.argmax(exact >= 0.5)) <= 1
    check_bounds(page, D, width)


def test_where_even_points_are_wider_it_says_so(explore):
    page = explore(FIGURE)
    page.locator(MENU).select_option("many")
    move(page, 10.0, 100)
    assert cones.cap_width(0.0, 100, caps=CAPS) > cones.cap_width(cones.ball_angle(1.0, 10.0), 100)
    assert "Even 100 single points are wider" in read(page, "near_far")
    assert page.locator('[data-reading="half"]').count() == 0
    page.locator(".explore input").first.press("Home")
    assert int(read(page, "half")) > 0


def test_it_follows_the_keyboard(explore):
    page = explore(FIGURE)
    assert float(read(page, "threshold")) == pytest.approx(
        100 - cones.cap_width(np.pi / 6, 100) ** 2, abs=0.0501
    )
    slider = page.locator(".explore input").first
    far = [float(read(page, "threshold"))]
    for key in ("ArrowRight", "PageUp", "End"):
        slider.press(key)
        far.append(float(read(page, "threshold")))
    assert far[0] < far[1] <= far[2] < far[3]  # the farther, the later


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["one", "many"])
def test_on_a_phone_it_fits_and_can_be_read(explore, fits, scheme, kind):
    page = explore(FIGURE, 390, scheme)
    page.locator(MENU).select_option(kind)
    move(page, 1.02, 100_000)
    fits(page)


def test_paper_has_the_static_figure(explore, swaps):
    swaps(explore(FIGURE))
