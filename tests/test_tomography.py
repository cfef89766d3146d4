"""Reading the size of a set off the dimensions at which random subspaces hit it."""

import jax
import numpy as np
import pytest

from dofbook.errors import InputError
from dofbook.geometry.cones import cap_width
from dofbook.geometry.elliptic_cones import cone_size, hitting_cone
from dofbook.geometry.escape import cap_hit_probability, sharp_bound
from dofbook.geometry.quadratic import (
    QuadraticWell,
    closed_form,
    hitting_dimensions,
    isotropic_direction,
    log_uniform_spectrum,
    minimum_losses,
)
from dofbook.geometry.tomography import (
    dimension_from_hits,
    width_lower_bound,
)


def test_mean_hit_measures_the_statistical_dimension_of_a_wedge():
    # In the plane d_hit is 1 with probability 2 angle / pi, else 2: D + 1/2 - mean is delta.
    angle, runs = 0.6, 1000
    ones = round(2 * angle / np.pi * runs)
    estimate = dimension_from_hits(np.repeat([1, 2], [ones, runs - ones]), 2)
    assert estimate.value == pytest.approx(0.5 + 2 * angle / np.pi, abs=1e-3)


@pytest.mark.parametrize("D", [3, 40])
def test_mean_hit_measures_the_statistical_dimension_of_an_elliptic_cone(D):
    well = QuadraticWell(log_uniform_spectrum(D), isotropic_direction(jax.random.key(D), D))
    eps = well.initial_loss * np.array([0.03, 0.3])
    hits = hitting_dimensions(minimum_losses(well, jax.random.key(0), 3000), eps)
    for j, level in enumerate(eps):
        measured = dimension_from_hits(hits[:, j], D)
        projected = cone_size(hitting_cone(well, level), jax.random.key(1), 5000).delta
        error = np.hypot(measured.standard_error, projected.standard_error)
        assert measured.value == pytest.approx(projected.value, abs=4 * error)
        # The half dimension matters: the error is small enough to see it.
        assert error < 0.12


def test_the_bound_on_the_width_of_the_transition_holds_for_wells():
    D = 300
    well = QuadraticWell(log_uniform_spectrum(D), isotropic_direction(jax.random.key(1), D))
    form = closed_form(well, well.initial_loss * np.geomspace(1e-4, 0.95, 30))
    # McCoy and Tropp (2014): the intrinsic volumes have variance at most 2 min(delta, D - delta).
    assert (form.sigma <= np.sqrt(2 * np.minimum(form.Q, D - form.Q))).all()


def test_width_bound_is_true_for_caps_and_inverts_the_sharp_bound():
    D, angle = 200, 0.9
    d = np.arange(1, D)
    p = cap_hit_probability(D, d, angle)
    possible = p > 1e-12
    assert (width_lower_bound(d[possible], D, p[possible]) <= cap_width(angle, D)).all()
    bound = width_lower_bound(60, D, 0.3)
    assert sharp_bound(D, 60, float(bound)) == pytest.approx(0.3)
    assert width_lower_bound(D, D, 1.0) == 0  # success in the whole space says nothing
    # With certain success the bound is the width of the sphere in the complement, alpha_{D-d}.
    assert width_lower_bound(D - 1, D, 1.0) == pytest.approx(np.sqrt(2 / np.pi))


def test_impossible_arguments_are_refused():
    for hits in ([5], [[1, 2]], [0, 3], [3, 11]):
        with pytest.raises(InputError):
            dimension_from_hits(hits, 10)
    for d, p in ((11, 0.5), (-1, 0.5), (5, 0.0), (5, 1.1)):
        with pytest.raises(InputError):
            width_lower_bound(d, 10, p)
