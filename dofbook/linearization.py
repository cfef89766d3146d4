"""The network replaced by its first-order expansion in the weights (paper, A.1 and Fig. 9).

Around a centre c, usually an optimum, the logits become

    f_lin(w) = f(c) + J(c) (w - c),

one jvp per evaluation; the Jacobian J is never stored. A linearized network is a ``FlatNetwork``
like any other. The cross-entropy of logits that are linear in w is convex, so there is one basin.

The network needs a forward mode: build it with ``derivatives="linear"`` (fast to train) or "all".
"""

from dataclasses import dataclass
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dofbook.compiling import fast_jit
from dofbook.errors import InputError
from dofbook.networks import FlatNetwork
from dofbook.subspaces import AffineSubspace, Directions
from dofbook.training import cross_entropy


def expand(network: FlatNetwork, centre: jax.Array, w: jax.Array, x: jax.Array) -> jax.Array:
    """Evaluate the logits expanded to first order around a centre.

    Args:
        network: A network with a forward mode.
        centre: Where the expansion is exact, (D,).
        w: Weights, (D,).
        x: Images, (N, H, W, C).

    Returns:
        f(c) + J(c) (w - c), (N, classes).

    Raises:
        InputError: If the network has no forward mode.

    Source:
        Larsen et al. (2022), A.1.
    """
    try:
        logits, change = jax.jvp(lambda c: network.apply(c, x), (centre,), (w - centre,))
    except TypeError as problem:
        if "forward-mode" not in str(problem):
            raise
        raise InputError(
            "the network has no forward mode; build it with derivatives='linear' or 'all'."
        ) from None
    return logits + change


def linearize(network: FlatNetwork, centre: jax.Array) -> FlatNetwork:
    """Expand a network around a fixed centre.

    The centre is compiled into every program; to train around many centres with one program, use
    ``carrying`` and ``carry``.

    Args:
        network: A network with a forward mode.
        centre: c, (D,).

    Returns:
        The linearized network, a function of the same weights.

    Raises:
        InputError: When it is first applied, if the network has no forward mode.
    """
    apply = partial(expand, network, centre)
    return FlatNetwork(network.init, apply, network.D, network.evaluation_chunk)


@lru_cache(maxsize=8)
def carrying(network: FlatNetwork) -> FlatNetwork:
    """Linearize a network around a centre that its weight vector carries along.

    The centre is data, so one compiled program serves every centre.

    Args:
        network: A network with a forward mode.

    Returns:
        A function of the 2D numbers (w, c); the same object for the same network. Its ``init``
        expands around the initialization itself.

    Raises:
        InputError: When it is first applied, if the network has no forward mode.
    """
    D = network.D

    def apply(both, x):
        return expand(network, lax.stop_gradient(both[D:]), both[:D], x)

    def init(key):
        return jnp.tile(network.init(key), 2)

    return FlatNetwork(init, apply, 2 * D, network.evaluation_chunk)


@partial(jax.tree_util.register_dataclass, data_fields=["directions"], meta_fields=["D"])
@dataclass(frozen=True)
class Carried:
    """Directions that move w and leave the centre behind it alone.

    Args:
        directions: A, the directions of w.
        D: Number of parameters.
    """

    directions: Directions
    D: int

    @property
    def d(self) -> int:
        """Training dimension."""
        return self.directions.d

    def lift(self, theta: jax.Array) -> jax.Array:
        """Map theta (d,) to (A theta, 0), (2D,)."""
        return jnp.concatenate([self.directions.lift(theta), jnp.zeros(self.D)])

    def project(self, g: jax.Array) -> jax.Array:
        """Map g (2D,) to A^T of its first half, (d,)."""
        return self.directions.project(g[: self.D])


def carry(subspace: AffineSubspace, centre: jax.Array) -> AffineSubspace:
    """Attach a centre to a subspace, for ``carrying`` networks.

    Args:
        subspace: offset + span(A) in R^D.
        centre: c, (D,).

    Returns:
        (offset, c) + span((A, 0)) in R^(2D).
    """
    offset = jnp.concatenate([subspace.offset, centre])
    return AffineSubspace(offset, Carried(subspace.directions, subspace.D))


@lru_cache(maxsize=8)
def _jacobian_program(network: FlatNetwork):
    @fast_jit
    def products(centre, rows, x):
        _, along = jax.linearize(lambda c: network.apply(c, x), centre)
        return jnp.moveaxis(lax.map(along, rows), 0, -1)

    return products


def jacobian_products(
    network: FlatNetwork, centre: jax.Array, rows: jax.Array, x: jax.Array, chunk: int = 500
) -> np.ndarray:
    """Multiply the Jacobian at a centre with the columns of A: B = J A, one jvp a column.

    Args:
        network: A network with a forward mode.
        centre: Where the Jacobian is taken, (D,).
        rows: A^T, (d, D).
        x: Images, (N, H, W, C).
        chunk: Images at once.

    Returns:
        B, (N, classes, d) float64: the change of each logit along each direction.
    """
    program = _jacobian_program(network)
    parts = [program(centre, rows, x[i : i + chunk]) for i in range(0, len(x), chunk)]
    return np.concatenate([np.asarray(part, np.float64) for part in parts])


@dataclass(frozen=True)
class Plane:
    """A plane through three points of weight space, with orthonormal axes.

    Args:
        origin: The first point, (D,).
        axes: Orthonormal directions, (2, D); the first points to the second point.
        points: Coordinates of the three points in the plane, (3, 2).
    """

    origin: jax.Array
    axes: jax.Array
    points: np.ndarray


def plane_through(origin: jax.Array, first: jax.Array, second: jax.Array) -> Plane:
    """Lay the plane through three points.

    Args:
        origin: Its origin, (D,), for example w0.
        first: A point on its first axis, (D,), for example optimum 1.
        second: A point with positive second coordinate, (D,), for example optimum 2.

    Returns:
        The plane.

    Raises:
        InputError: If the three points lie on a line.
    """
    sides = np.asarray(jnp.stack([first - origin, second - origin]), np.float64)
    length = np.linalg.norm(sides[0])
    along = sides[0] / length if length else sides[0]
    across = sides[1] - (sides[1] @ along) * along
    height = np.linalg.norm(across)
    if not height > 1e-6 * np.linalg.norm(sides[1]):  # also when length is 0
        raise InputError("the three points lie on a line; a plane needs three that do not.")
    points = np.array([[0, 0], [length, 0], [sides[1] @ along, height]])
    return Plane(origin, jnp.asarray(np.stack([along, across / height]), jnp.float32), points)


def plane_losses(
    network: FlatNetwork,
    plane: Plane,
    horizontal: np.ndarray,
    vertical: np.ndarray,
    x: jax.Array,
    y: jax.Array,
) -> np.ndarray:
    """Evaluate the loss on a grid in a plane: a two-dimensional cut of the landscape.

    Args:
        network: Any flat network, linearized or not.
        plane: The plane.
        horizontal: Coordinates along the first axis, (h,).
        vertical: Coordinates along the second axis, (v,).
        x: Images, for example the test set's.
        y: Labels.

    Returns:
        Mean cross-entropy, (v, h).

    Source:
        Larsen et al. (2022), Fig. 9, left and middle columns.
    """
    grid = np.stack(np.meshgrid(horizontal, vertical), axis=-1).reshape(-1, 2)

    @fast_jit
    def losses(coordinates, x, y):
        def loss(c):
            return cross_entropy(network.apply(plane.origin + c @ plane.axes, x), y)

        return lax.map(loss, coordinates)

    values = losses(jnp.asarray(grid, jnp.float32), x, y)
    return np.asarray(values).reshape(len(vertical), len(horizontal))
