"""The network replaced by its first-order expansion in the weights (paper, A.1 and Fig. 9).

Around a centre c, usually an optimum, the logits become f(c) + J(c) (w - c): the loss is convex in
w. The network needs ``with_derivatives("linear")`` (fast to train) or "all".
"""

from dataclasses import dataclass, replace
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dofbook.errors import InputError
from dofbook.networks import Network
from dofbook.subspaces import AffineSubspace, Directions
from dofbook.training.compiling import fast_jit


def expand(network: Network, centre: jax.Array, w: jax.Array, x: jax.Array) -> jax.Array:
    """Evaluate f(c) + J(c) (w - c) (paper, A.1); InputError if the network has no forward mode.

    >>> from dofbook.networks import flatten
    >>> square = flatten((lambda key: jnp.ones(1), lambda w, x: x * w**2), jnp.ones((1, 1)))
    >>> expand(square, jnp.ones(1), jnp.full(1, 2.0), jnp.ones((1, 1)))  # 1 + 2 (2 - 1)
    Array([[3.]], dtype=float32)
    """
    try:
        logits, change = jax.jvp(lambda c: network.apply(c, x), (centre,), (w - centre,))
    except TypeError as problem:
        if "forward-mode" not in str(problem):
            raise
        words = "the network has no forward mode; take its with_derivatives('linear') or 'all'."
        raise InputError(words) from None
    return logits + change


def linearize(network: Network, centre: jax.Array) -> Network:
    """Expand a network around a fixed centre (D,); see ``expand``.

    The centre is compiled into every program; ``carrying`` and ``carry`` share one among centres.

    >>> from dofbook.networks import flatten
    >>> square = flatten((lambda key: jnp.ones(1), lambda w, x: x * w**2), jnp.ones((1, 1)))
    >>> linearize(square, jnp.ones(1)).apply(jnp.zeros(1), jnp.ones((1, 1)))
    Array([[-1.]], dtype=float32)
    """
    return replace(network, apply=partial(expand, network, centre), gradient_chunk=None)


@lru_cache(maxsize=8)
def carrying(network: Network) -> Network:
    """Linearize a network around a centre that its weight vector carries along: 2D numbers (w, c).

    One program serves every centre; equal networks give one object. ``init`` is its own centre.

    >>> from dofbook.networks import paper_network
    >>> carrying(paper_network("mlp", (8, 8, 1), 10)).D
    4820
    """

    def apply(both, x):
        w, centre = jnp.split(both, 2)
        return expand(network, lax.stop_gradient(centre), w, x)

    start = {"D": 2 * network.D, "init": lambda key: jnp.tile(network.init(key), 2)}
    return replace(network, apply=apply, gradient_chunk=None, **start)


@partial(jax.tree_util.register_dataclass, data_fields=["directions"], meta_fields=["D"])
@dataclass(frozen=True)
class Carried:
    """Move w and leave the centre behind it alone: directions (A, 0) in R^(2D).

    >>> from dofbook.subspaces import Identity
    >>> Carried(Identity(2), 2).lift(jnp.ones(2))
    Array([1., 1., 0., 0.], dtype=float32)
    """

    directions: Directions
    D: int

    @property
    def d(self) -> int:
        return self.directions.d

    def lift(self, theta: jax.Array) -> jax.Array:
        return jnp.concatenate([self.directions.lift(theta), jnp.zeros(self.D)])

    def project(self, g: jax.Array) -> jax.Array:
        return self.directions.project(g[: self.D])


def carry(subspace: AffineSubspace, centre: jax.Array) -> AffineSubspace:
    """Attach a centre c (D,) to a subspace for ``carrying`` networks: (offset, c) + span((A, 0)).

    >>> from dofbook.subspaces import Identity
    >>> carry(AffineSubspace(jnp.zeros(2), Identity(2)), jnp.ones(2)).offset
    Array([0., 0., 1., 1.], dtype=float32)
    """
    offset = jnp.concatenate([subspace.offset, centre])
    return AffineSubspace(offset, Carried(subspace.directions, subspace.D))


@lru_cache(maxsize=8)
def _jacobian_program(network: Network):
    @fast_jit
    def products(centre, rows, x):
        _, along = jax.linearize(lambda c: network.apply(c, x), centre)
        return jnp.moveaxis(lax.map(along, rows), 0, -1)

    return products


def jacobian_products(
    network: Network, centre: jax.Array, rows: jax.Array, x: jax.Array, chunk: int = 500
) -> np.ndarray:
    """Multiply the Jacobian at a centre with the columns of A: B = J A, one jvp a column.

    ``rows`` is A^T, (d, D), and B (N, classes, d) float64, the change of each logit along each
    direction. The network has a forward mode; ``chunk`` is the number of inputs at once.

    >>> from dofbook.networks import flatten
    >>> square = flatten((lambda key: jnp.ones(1), lambda w, x: x * w**2), jnp.ones((1, 1)))
    >>> jacobian_products(square, jnp.ones(1), jnp.ones((1, 1)), jnp.full((1, 1), 3.0))
    array([[[6.]]])
    """
    program = _jacobian_program(network)
    parts = [program(centre, rows, x[i : i + chunk]) for i in range(0, len(x), chunk)]
    return np.concatenate([np.asarray(part, np.float64) for part in parts])
