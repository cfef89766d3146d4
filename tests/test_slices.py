"""Slices of a landscape against geometry that is known."""

import numpy as np
import pytest

from dofbook.errors import InputError
from dofbook.landscape.slices import line_hits, plane_through, slice_metrics
from dofbook.training import Task, evaluate


def test_a_plane_contains_its_three_points():
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 7))
    plane = plane_through(a, b, c)
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-12)
    for w in (a, b, c):
        np.testing.assert_allclose(plane.point(*plane.coordinates(w)), w, atol=1e-12)
    np.testing.assert_allclose(plane.coordinates(a), 0, atol=1e-12)
    x, y = plane.coordinates(b)
    assert x == pytest.approx(np.linalg.norm(b - a))
    assert y == pytest.approx(0, abs=1e-12)
    assert plane.coordinates(c)[1] > 0


def test_points_on_a_line_span_no_plane():
    a, b = np.zeros(3), np.ones(3)
    with pytest.raises(InputError, match="one line"):
        plane_through(a, b, 2 * b)
    with pytest.raises(InputError, match="one line"):
        plane_through(a, a, b)


def test_a_slice_holds_the_network_s_metrics(first_digits):
    task = Task("mlp", first_digits(9, 3))
    points = [task.initialization(seed) for seed in range(3)]
    plane = plane_through(*points)
    xs, ys = np.array([-0.5, 0.0, 2.0]), np.array([0.0, 1.0])
    found = slice_metrics(task, task.network, plane, xs, ys)
    assert found.shape == (2, 3, 4)
    w = points[0] + 2 * plane.axes[0] + 1 * plane.axes[1]
    np.testing.assert_allclose(found[1, 2], evaluate(task, w), rtol=1e-4)
    test_alone = slice_metrics(task, task.network, plane, xs, ys, splits="test")
    np.testing.assert_array_equal(test_alone, found[..., 2:])


def test_the_lines_that_meet_a_disc_fill_the_angle_it_subtends():
    # Disc of radius 1 at distance 2: a line within 30 degrees of its centre meets it.
    x = y = np.linspace(-4, 4, 161)
    loss = (x - 2) ** 2 + y[:, None] ** 2
    angles = np.linspace(0, np.pi, 1800, endpoint=False)
    hits = line_hits(x, y, loss, 1.0, (0.0, 0.0), angles, samples=2000)
    assert hits.mean() == pytest.approx(1 / 3, abs=0.01)
    assert line_hits(x, y, loss, 1.0, (2.0, 0.0), angles).all()
    assert not line_hits(x, y, loss + 2, 1.0, (0.0, 0.0), angles).any()
    with pytest.raises(InputError, match="outside"):
        line_hits(x, y, loss, 1.0, (9.0, 0.0), angles)
