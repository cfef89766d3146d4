"""Cones: projections against an independent solver, statistical dimensions, Moreau's identities."""

import clarabel
import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.integrate import quad
from scipy.sparse import csc_matrix

from dofbook.errors import InputError
from dofbook.geometry import cones
from dofbook.geometry.gaussian_width import alpha
from dofbook.geometry.precision import float64_enabled

KEY = jax.random.key(7)
FEW = settings(max_examples=10, deadline=None)
BASIS = np.random.default_rng(0).normal(size=(6, 2))
CONES = {
    "circular": cones.circular_cone(0.6),
    "wide": cones.circular_cone(1.4),
    "ray": cones.circular_cone(0.0),
    "halfspace": cones.circular_cone(np.pi / 2),
    "subspace": cones.subspace(BASIS),
    "orthant": cones.orthant(),
}


def project(name: str, g: np.ndarray) -> np.ndarray:
    with float64_enabled():
        return np.asarray(CONES[name](jax.numpy.asarray(g, "float64")))


@pytest.mark.parametrize("name", CONES)
@FEW
@given(seed=st.integers(0, 2**31), scale=st.floats(1e-3, 1e3))
def test_moreau(name, seed, scale):
    """A projection onto a closed convex cone is characterised by these four properties."""
    g = np.random.default_rng(seed).normal(size=(20, 6))
    p = project(name, g)
    np.testing.assert_allclose(np.sum(p * (g - p), axis=1), 0.0, atol=1e-12)  # orthogonality
    np.testing.assert_allclose(project(name, p), p, atol=1e-12)  # idempotence: p lies in C
    # g - p lies in the polar cone: nonpositive inner product with members of C
    members = project(name, np.random.default_rng(seed + 1).normal(size=(50, 6)))
    assert np.max((g - p) @ members.T) < 1e-12
    np.testing.assert_allclose(project(name, scale * g), scale * p, atol=1e-11 * scale)


@pytest.mark.parametrize("angle", [0.3, 1.2])
def test_circular_projection_against_conic_solver(angle):
    """Second-order cone programs solved by Clarabel, an interior-point method."""
    g = np.random.default_rng(1).normal(size=(15, 4))
    with float64_enabled():
        mine = np.asarray(cones.circular_cone(angle)(jax.numpy.asarray(g)))
    settings_ = clarabel.DefaultSettings()
    settings_.verbose = False
    stretch = np.array([np.sin(angle)] + [np.cos(angle)] * 3)  # x in C iff stretch * x in SOC
    for row, x in zip(g, mine, strict=True):
        solver = clarabel.DefaultSolver(
            csc_matrix(np.eye(4)),
            -row,
            csc_matrix(-np.diag(stretch)),
            np.zeros(4),
            [clarabel.SecondOrderConeT(4)],
            settings_,
        )
        np.testing.assert_allclose(x, np.array(solver.solve().x), atol=1e-5)


def test_circular_projection_on_the_axis():
    with float64_enabled():
        out = np.asarray(cones.circular_cone(0.5)(np.array([[2.0, 0, 0], [-2.0, 0, 0], [0, 0, 0]])))
    np.testing.assert_allclose(out, [[2, 0, 0], [0, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("name", "delta", "variance"),
    [("subspace", 2.0, 0.0), ("orthant", 3.0, 1.5), ("halfspace", 5.5, 0.25), ("ray", 0.5, 0.25)],
)
def test_known_statistical_dimensions(name, delta, variance):
    # Orthant: intrinsic volumes are Binomial(D, 1/2). Half-space: 5 or 6. Ray: 0 or 1.
    found = cones.estimate_statistical_dimension(CONES[name], 6, key=KEY, samples=20_000)
    assert abs(found.delta.value - delta) < 4.5 * found.delta.standard_error
    assert found.intrinsic_variance == pytest.approx(variance, abs=0.5)


@pytest.mark.parametrize("dimension", [2, 3, 40])
@pytest.mark.parametrize("angle", [0.2, np.pi / 4, 1.3])
def test_circular_statistical_dimension(dimension, angle):
    exact = cones.cap_statistical_dimension(angle, dimension)
    found = cones.estimate_statistical_dimension(
        cones.circular_cone(angle), dimension, key=KEY, samples=5000
    )
    assert abs(found.delta.value - exact) < 4.5 * found.delta.standard_error
    # The polar of a circular cone is the circular cone of the complementary angle.
    other = cones.cap_statistical_dimension(np.pi / 2 - angle, dimension)
    assert exact + other == pytest.approx(dimension, rel=1e-12)


def test_circular_cone_in_the_plane_by_hand():
    # D = 2, E|g|² = 2: the angle φ from the axis is uniform on (0, π).
    for angle in (0.1, 0.7, np.pi / 2):
        inside, _ = quad(lambda t: 1.0, 0, angle)
        edge, _ = quad(lambda t, a=angle: np.cos(t - a) ** 2, angle, angle + np.pi / 2)
        assert cones.cap_statistical_dimension(angle, 2) == pytest.approx(
            2 * (inside + edge) / np.pi, rel=1e-12
        )
        assert 2 * (inside + edge) / np.pi == pytest.approx(2 * angle / np.pi + 0.5)


@pytest.mark.parametrize("dimension", [2, 5, 500, 10**6])
def test_exact_circular_values(dimension):
    # Half-space D - ½, ray ½, and the 45° cone, which is self-polar, D/2.
    assert cones.cap_statistical_dimension(np.pi / 2, dimension) == pytest.approx(dimension - 0.5)
    assert cones.cap_statistical_dimension(0.0, dimension) == pytest.approx(0.5)
    assert cones.cap_statistical_dimension(np.pi / 4, dimension) == pytest.approx(dimension / 2)
    assert cones.cap_width(np.pi, dimension) == pytest.approx(float(alpha(dimension)))


def test_large_dimension_formulas():
    for dimension, angle in ((500, np.pi / 4), (2000, 0.8)):
        delta = cones.cap_statistical_dimension(angle, dimension)
        approximate = dimension * np.sin(angle) ** 2 + np.cos(2 * angle)
        assert delta == pytest.approx(approximate, abs=0.01)
        width = cones.cap_width(angle, dimension)
        assert width == pytest.approx(float(alpha(dimension - 1)) * np.sin(angle), rel=1e-9)


@FEW
@given(st.floats(0.0, np.pi / 2), st.integers(2, 2000))
def test_width_and_statistical_dimension_differ_by_less_than_one(angle, dimension):
    square = cones.cap_width(angle, dimension) ** 2
    delta = cones.cap_statistical_dimension(angle, dimension)
    assert square - 1e-9 * dimension <= delta <= square + 1 + 1e-9 * dimension


def test_intrinsic_variance_of_the_45_degree_cone():
    found = cones.estimate_statistical_dimension(
        cones.circular_cone(np.pi / 4), 200, key=KEY, samples=20_000
    )
    assert np.sqrt(found.intrinsic_variance) == pytest.approx(np.sqrt(100), rel=0.15)


def test_ball_angle():
    assert cones.ball_angle(1.0, 2.0) == pytest.approx(np.pi / 6)
    with pytest.raises(InputError, match="outside"):
        cones.ball_angle(2.0, 1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: cones.circular_cone(2.0),
        lambda: cones.subspace(np.ones((4, 2))),
        lambda: cones.cap_width(0.5, 1),
        lambda: cones.cap_width(-0.5, 5),
        lambda: cones.cap_statistical_dimension(2.0, 5),
    ],
)
def test_bad_cones_are_refused(make):
    with pytest.raises(InputError):
        make()
