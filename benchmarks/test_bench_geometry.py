"""Timings of the width, cone and escape computations; run by `make bench`.

The assertions are about values; the clock is pytest-benchmark's.
"""

import jax
import numpy as np
import pytest

from dofbook.geometry import cones, escape, gaussian_width

KEY = jax.random.key(0)


def test_ellipsoid_width_quadrature(benchmark):
    r = np.logspace(-3, 0, 1_000_000)
    width = benchmark(gaussian_width.ellipsoid_width, r)
    total = np.sum(r**2)
    assert total - 1 <= width**2 <= total  # Gaussian Poincaré and Jensen


def test_ellipsoid_width_monte_carlo(benchmark):
    r = np.logspace(-3, 0, 1_000_000)
    estimate = benchmark.pedantic(
        gaussian_width.estimate_width,
        args=(gaussian_width.ellipsoid(r), 1_000_000),
        kwargs={"key": KEY, "samples": 100},
        rounds=3,
        warmup_rounds=1,
    )
    truth = gaussian_width.ellipsoid_width(r)
    assert abs(estimate.value - truth) < 5 * estimate.standard_error


@pytest.mark.parametrize("dimension", [2_000, 1_000_000])
def test_circular_cone_quadrature(benchmark, dimension):
    delta = benchmark(cones.cap_statistical_dimension, np.pi / 4, dimension)
    assert delta == pytest.approx(dimension / 2)


def test_statistical_dimension_monte_carlo(benchmark):
    found = benchmark.pedantic(
        cones.estimate_statistical_dimension,
        args=(cones.circular_cone(0.7), 2_000),
        kwargs={"key": KEY, "samples": 1_000},
        rounds=3,
        warmup_rounds=1,
    )
    truth = cones.cap_statistical_dimension(0.7, 2_000)
    assert abs(found.delta.value - truth) < 5 * found.delta.standard_error


def test_excluded_dimensions_at_network_scale(benchmark):
    width = cones.cap_width(np.pi / 4, 272_000)
    excluded = benchmark(escape.excluded_dimensions, 272_000, width)
    assert 0 < excluded < 136_000


def test_simulated_alignment(benchmark):
    centers = np.linalg.qr(np.random.default_rng(0).normal(size=(100, 100)))[0]
    alignment = benchmark.pedantic(
        escape.simulate_alignment,
        args=(centers,),
        kwargs={"key": KEY, "runs": 200},
        rounds=3,
        warmup_rounds=1,
    )
    assert np.all(np.diff(alignment, axis=1) >= 0)
