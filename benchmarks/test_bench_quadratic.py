"""How long the quadratic well takes; the limits in the comments are the project's goals."""

import jax
import numpy as np
import pytest

from dofbook.geometry.elliptic_cones import cone_size, hitting_cone
from dofbook.geometry.quadratic import (
    QuadraticWell,
    hitting_dimensions,
    isotropic_direction,
    log_uniform_spectrum,
    minimum_losses,
    predicted_threshold,
)


def log_uniform_well(D):
    return QuadraticWell(log_uniform_spectrum(D), isotropic_direction(jax.random.key(0), D))


@pytest.mark.benchmark(group="quadratic")
def test_closed_form_boundary_at_a_million_parameters(benchmark):
    # Goal: under 5 s for 200 levels of eps, compilation included.
    well = log_uniform_well(1_000_000)
    eps = well.initial_loss * np.geomspace(1e-5, 0.99, 200)
    thresholds = benchmark.pedantic(predicted_threshold, (well, eps), rounds=3)
    assert (np.diff(thresholds) <= 0).all()


@pytest.mark.benchmark(group="quadratic")
def test_statistical_dimension_at_two_thousand_parameters(benchmark):
    # Goal: under 10 s for 1000 samples, the half-angles of the cone included.
    well = log_uniform_well(2000)
    eps = 0.1 * well.initial_loss

    def measure():
        return cone_size(hitting_cone(well, eps), jax.random.key(1), 1000)

    assert benchmark.pedantic(measure, rounds=3).delta.standard_error < 0.1


@pytest.mark.benchmark(group="quadratic")
def test_one_row_of_figure_5(benchmark):
    # Goal: under 30 s for D = 500, 200 runs, every d, three distances R.
    well = log_uniform_well(500)
    eps = well.initial_loss * np.geomspace(1e-5, 100, 200)

    def row():
        losses = minimum_losses(well, jax.random.key(2), 200)
        return [hitting_dimensions(losses * R**2, eps) for R in (1, 3, 10)]

    assert benchmark.pedantic(row, rounds=3)[0].shape == (200, 200)
