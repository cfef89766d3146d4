"""Two-dimensional slices of the loss landscape, and how many lines through a point hit a set.

In the plane of a slice a generic affine subspace of codimension one leaves a line: the lines
through w_t that meet the sublevel set show in two dimensions what the paper's Eq. 2.3 is in D.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import RegularGridInterpolator

from dofbook import checks
from dofbook.errors import InputError
from dofbook.networks import Network
from dofbook.training import Task
from dofbook.training.loop import compiled_evaluation


@dataclass(frozen=True)
class Plane:
    """Hold a plane of weight space: origin + x e1 + y e2, orthonormal ``axes`` e1, e2, (2, D).

    >>> Plane(np.zeros(3), np.eye(2, 3)).point(2, 1)
    array([2., 1., 0.])
    """

    origin: np.ndarray
    axes: np.ndarray

    def coordinates(self, w: np.ndarray) -> np.ndarray:
        """Project weights (D,) on the plane: (x, y), in units of distance in weight space."""
        return self.axes @ (np.asarray(w, float) - self.origin)

    def point(self, x: float, y: float) -> np.ndarray:
        """Give the weights at (x, y), (D,)."""
        return self.origin + np.array([x, y]) @ self.axes


def plane_through(origin: np.ndarray, first: np.ndarray, second: np.ndarray) -> Plane:
    """Lay a plane through three points (D,), not in line: (0, 0), (x > 0, 0) and one with y > 0.

    >>> plane_through(np.zeros(2), np.array([0.0, 5.0]), np.array([1.0, 1.0])).axes
    array([[0., 1.],
           [1., 0.]])
    """
    start = checks.finite("origin", origin, ("D",))
    a = checks.finite("first", first, start.shape) - start
    b = checks.finite("second", second, start.shape) - start
    e1 = a / max(np.linalg.norm(a), 1e-300)
    rest = b - (b @ e1) * e1
    if np.linalg.norm(a) == 0 or np.linalg.norm(rest) <= 1e-9 * np.linalg.norm(b):
        raise InputError("the three points lie on one line; they span no plane.")
    return Plane(start, np.stack([e1, rest / np.linalg.norm(rest)]))


def slice_metrics(
    task: Task, network: Network, plane: Plane, x: np.ndarray, y: np.ndarray, splits: str = "both"
) -> np.ndarray:
    """Evaluate the task's own network, or its linearization, on a grid of a plane.

    ``x`` (nx,) and ``y`` (ny,) are coordinates along e1 and e2, ``splits`` "both" or "test" alone.
    Gives the metrics in the order of ``task.objective.metric_names``, (ny, nx, metrics).

    >>> task = Task("mlp", "digits")
    >>> plane = Plane(np.zeros(task.network.D), np.eye(2, task.network.D))
    >>> slice_metrics(task, task.network, plane, np.zeros(1), np.zeros(1)).shape
    (1, 1, 4)
    """
    data = checks.instance("task", task, Task).arrays
    D = checks.instance("network", network, Network).D
    checks.floats("origin of the plane", checks.instance("plane", plane, Plane).origin, (D,))
    x, y = checks.finite("x", x, ("nx",)), checks.finite("y", y, ("ny",))
    checks.choice("splits", splits, ("both", "test"))
    parts = [(data.x_train, data.y_train), (data.x_test, data.y_test)]
    wanted = parts if splits == "both" else parts[1:]
    program = compiled_evaluation(network, task.objective)

    def at(a, b):
        w = jnp.asarray(plane.point(a, b), jnp.float32)
        return [program(w, *part) for part in wanted]

    found = np.array(jax.device_get([[at(a, b) for a in x] for b in y]))
    return found.reshape(len(y), len(x), -1)


def line_hits(
    x: np.ndarray, y: np.ndarray, loss: np.ndarray, eps: float, point: tuple[float, float],
    angles: np.ndarray, samples: int = 400,
) -> np.ndarray:  # fmt: skip
    """Tell which lines through a point of a slice meet {loss <= eps} inside the slice, (lines,).

    ``x`` (nx,) and ``y`` (ny,) are increasing, the loss on that grid (ny, nx) is interpolated
    linearly. ``angles`` (lines,) are in radians, ``samples`` the number of points looked at along
    each line. InputError if the point lies outside the grid.

    >>> x = np.linspace(-2, 2, 9)
    >>> valley = np.abs(x)[:, None] + 0 * x  # the loss is |y|
    >>> line_hits(x, x, valley, 0.1, (0.0, 1.0), np.array([0.0, np.pi / 2]))
    array([False,  True])
    """
    x, y = checks.finite("x", x, ("nx",)), checks.finite("y", y, ("ny",))
    if not all((np.diff(axis) > 0).all() for axis in (x, y)):
        raise InputError("x and y must be strictly increasing.")
    loss, eps = checks.array("loss", loss, (len(y), len(x))), checks.real("eps", eps)
    checks.finite("point", point, (2,))
    angles = checks.finite("angles", angles, ("lines",))
    samples = checks.integer("samples", samples, 1)
    if not (x[0] <= point[0] <= x[-1] and y[0] <= point[1] <= y[-1]):
        raise InputError(f"the point {point} lies outside the slice.")
    inside = RegularGridInterpolator((y, x), loss, bounds_error=False, fill_value=np.inf)
    reach = np.hypot(x[-1] - x[0], y[-1] - y[0])
    along = np.linspace(-reach, reach, samples)
    turns = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    where = np.array(point)[::-1] + turns[:, None] * along[:, None]
    return (inside(where) <= eps).any(axis=1)
