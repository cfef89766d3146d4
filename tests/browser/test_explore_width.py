"""The Gaussian width by hand, in Chromium, against NumPy."""

import re

import numpy as np
import pytest

from dofbook.figures import interactive
from dofbook.geometry.gaussian_width import plane_width

pytestmark = pytest.mark.browser

TURN = np.linspace(0, 2 * np.pi, 181)
CIRCLE = np.stack([np.cos(TURN), np.sin(TURN)], axis=1)
POINTS = [
    1.3 * CIRCLE * (1 + 0.3 * np.cos(3 * TURN))[:, None], CIRCLE, CIRCLE[[0, 90]], CIRCLE[:46]
]  # fmt: skip
NAMES = ["blob", "disc", "segment", "arc"]
DATA = {
    "sets": [
        {"name": name, "points": points.tolist(), "filled": i < 2, "width": plane_width(points)}
        for i, (name, points) in enumerate(zip(NAMES, POINTS, strict=True))
    ]
}
FIGURE = interactive("width", DATA, fallback="fig-width-by-hand")


def numbers(page, reading):
    strong = page.locator(f'[data-reading="{reading}"] strong').all_inner_texts()
    return [float(text) for text in strong]


def choose(page, name):
    page.locator(".explore select").select_option(label=name)


def press(page, name, times=1):
    button = page.get_by_role("button", name=name, exact=True)
    button.focus()
    for _ in range(times):
        page.keyboard.press("Enter")


def stream(count, state=1):
    """Uniform numbers of the script's generator, Mulberry32."""
    mask, found = 0xFFFFFFFF, []
    for _ in range(count):
        state = (state + 0x6D2B79F5) & mask
        t = (state ^ (state >> 15)) * (state | 1) & mask
        t = ((t + ((t ^ (t >> 7)) * (t | 61) & mask)) & mask) ^ t
        found.append((t ^ (t >> 14)) / 2**32)
    return np.array(found)


def gaussians(count):
    u, v = stream(2 * count).reshape(-1, 2).T
    length, angle = np.sqrt(-2 * np.log1p(-u)), 2 * np.pi * v
    return length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


@pytest.mark.parametrize("name", NAMES)
def test_the_support_value_follows_the_slider(explore, name):
    page = explore(FIGURE)
    choose(page, name)
    page.locator(".explore input").press("Home")
    for degrees in range(0, 361, 30):
        turn = np.deg2rad(degrees)
        reach = np.max(POINTS[NAMES.index(name)] @ [np.cos(turn), np.sin(turn)])
        assert numbers(page, "support") == pytest.approx([1, reach], abs=6e-4)
        for _ in range(30):
            page.keyboard.press("ArrowRight")


@pytest.mark.parametrize("name", NAMES)
def test_the_running_mean_is_numpy_s_and_approaches_the_width(explore, name):
    page = explore(FIGURE)
    choose(page, name)
    press(page, "Draw 1")
    points = POINTS[NAMES.index(name)]
    h = np.max(gaussians(1001) @ points.T, axis=1)
    first = page.locator('[data-reading="mean"] strong').all_inner_texts()
    assert first[0] == "1" and float(first[1]) == pytest.approx(h[0], abs=6e-4)
    assert numbers(page, "support")[1] == pytest.approx(h[0], abs=6e-4)
    press(page, "Draw 100", 10)
    draws, mean, error, exact = numbers(page, "mean")
    assert draws == 1001
    assert mean == pytest.approx(h.mean(), abs=6e-4)
    assert error == pytest.approx(h.std(ddof=1) / np.sqrt(1001), abs=6e-4)
    assert abs(mean - exact) < 5 * error


def test_turning_keeps_the_length_that_was_drawn_and_another_set_starts_anew(explore):
    page = explore(FIGURE)
    press(page, "Draw 1")
    length = np.linalg.norm(gaussians(1)[0])
    page.locator(".explore input").press("End")
    reach = POINTS[0][:, 0].max()
    assert numbers(page, "support") == pytest.approx([length, length * reach], abs=6e-4)
    choose(page, "disc")
    assert re.match("Mean of 0 draws", page.locator('[data-reading="mean"]').inner_text())


def test_the_disc_s_and_the_segment_s_widths_are_known(explore):
    page = explore(FIGURE)
    for name, width in (("disc", np.sqrt(np.pi / 2)), ("segment", np.sqrt(2 / np.pi))):
        choose(page, name)
        shown = page.locator('[data-reading="mean"] strong').last.inner_text()
        assert float(shown) == pytest.approx(width, abs=6e-4)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_and_stands_in_for_the_static_figure(explore, fits, swaps, width, scheme):
    page = explore(FIGURE, width, scheme)
    fits(page)
    for name in NAMES:
        choose(page, name)
        press(page, "Draw 1")
        press(page, "Draw 100", 3)
        fits(page)
    swaps(page)
