"""The quadratic-well bench, in Chromium, against the package's closed form."""

import jax
import numpy as np
import pytest

from dofbook.figures import interactive
from dofbook.geometry import quadratic

pytestmark = pytest.mark.browser

D, RUNS = 120, 20
SHARES, TIMES, LEVELS = [10, 50], [0, 1], [-3.0, -2.5, -2.0]


def well_of(share, D=D):
    spectrum = quadratic.bimodal_spectrum(D, share=share / 100)
    return quadratic.QuadraticWell(spectrum, np.full(D, D**-0.5))


DATA = {
    "D": D,
    "curvatures": well_of(50).eigenvalues[[0, -1]].tolist(),
    "shares": SHARES,
    "times": TIMES,
    "levels": LEVELS,
    "runs": RUNS,
    "hits": [
        quadratic.success_points(
            well_of(share), TIMES, 10.0 ** np.array(LEVELS), key=jax.random.key(i), runs=RUNS
        )
        for i, share in enumerate(SHARES)
    ],
}
FIGURE = interactive("well", DATA, fallback="fig-well-bench")
SUCCESS = "d => d.map(x => document.querySelector('.explore').values.success(x))"
DIGITS = {"Q": 0.05, "centre": 0.05, "paper": 0.05, "sigma": 0.005, "at-paper": 0.0005}


def read(page, name):
    return page.locator(f'[data-reading="{name}"]').inner_text()


def move(page, level, share, time):
    """Go to the nearer end with Home or End, and on with the arrows."""
    for i, (least, most, step, value) in enumerate(
        ((-5, -0.1, 0.1, level), (0, 100, 10, share), (0, 5, 0.1, time))
    ):
        slider = page.locator(".explore input").nth(i)
        back = value > (least + most) / 2
        slider.press("End" if back else "Home")
        for _ in range(round(((most - value) if back else (value - least)) / step)):
            slider.press("ArrowLeft" if back else "ArrowRight")
        assert float(slider.input_value()) == pytest.approx(value)


@pytest.mark.parametrize(
    ("level", "share", "time"),
    [
        (-2.0, 50, 0.0), (-3.0, 10, 1.0), (-5.0, 0, 0.0), (-5.0, 100, 5.0), (-0.1, 0, 0.0),
        (-0.1, 100, 0.0), (-5.0, 90, 5.0), (-4.2, 70, 2.3), (-0.1, 50, 0.1),
    ],
)  # fmt: skip
def test_the_readings_and_the_curve_are_the_closed_form(explore, level, share, time):
    page = explore(FIGURE)
    move(page, level, share, time)
    eps = 10.0**level * well_of(share).initial_loss
    well = well_of(share).after_gradient_flow(time)
    form, paper = quadratic.closed_form(well, eps), D - quadratic.paper_angular_dimension(well, eps)
    expected = {
        "Q": form.Q, "centre": form.codimension, "sigma": form.sigma, "paper": paper,
        "at-paper": quadratic.predicted_success(well, eps, np.clip(paper, 0, D)),
    }  # fmt: skip
    for name, digits in DIGITS.items():
        assert float(read(page, name)) == pytest.approx(expected[name], abs=1.01 * digits), name
    assert float(read(page, "mu")) == pytest.approx(form.mu, rel=6e-4)
    assert float(read(page, "R2")) == pytest.approx(well.R**2, rel=6e-4)
    d = np.arange(D + 1)
    success = quadratic.predicted_success(well, eps, d)
    np.testing.assert_allclose(page.evaluate(SUCCESS, d.tolist()), success, rtol=0, atol=1e-6)


def test_a_start_inside_the_target_needs_no_dimension(explore):
    page = explore(FIGURE)
    move(page, -0.1, 50, 5.0)
    assert "the start has reached ε" in read(page, "well")
    assert [read(page, name) for name in ("centre", "sigma", "Q")] == ["0.0", "0.00", f"{D}.0"]
    assert page.evaluate(SUCCESS, [0, 1, D]) == [1, 1, 1]


def test_dots_are_the_simulated_runs_of_this_setting_and_of_no_other(explore):
    page = explore(FIGURE)
    for level, share, time in ((-2.5, 50, 1.0), (-3.0, 10, 0.0)):
        move(page, level, share, time)
        stored = DATA["hits"][SHARES.index(share)][int(time)][LEVELS.index(level)]
        dots = page.locator("[data-hit]")
        found = [int(dots.nth(i).get_attribute("data-hit")) for i in range(dots.count())]
        assert found == stored["d"]
        assert f"{RUNS} simulated runs" in read(page, "well")
        # As far from the closed form as 20 runs are, not more.
        off = np.array(stored["p"]) - page.evaluate(SUCCESS, stored["d"])
        assert np.max(np.abs(off)) < 2 / np.sqrt(RUNS)
    page.locator(".explore input").first.press("ArrowRight")
    assert page.locator("[data-hit]").count() == 0
    assert "Runs were simulated for 10, 50% soft directions" in read(page, "well")


def test_burn_in_lowers_the_centre(explore):
    page = explore(FIGURE)
    slider = page.locator(".explore input").nth(2)
    before = float(read(page, "centre"))
    slider.press("PageUp")
    middle = float(read(page, "centre"))
    slider.press("End")
    assert before > middle > float(read(page, "centre"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_it_fits_and_can_be_read(explore, fits, scheme):
    page = explore(FIGURE, 390, scheme)
    move(page, -2.5, 50, 1.0)
    fits(page)


def test_paper_has_the_static_figure(explore, swaps):
    swaps(explore(FIGURE))
