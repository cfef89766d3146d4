"""Escape through a mesh: when does a random subspace miss a set on the sphere?

A uniformly random d-dimensional subspace of R^D (codimension k = D - d) misses a closed subset S of
the unit sphere with high probability if k exceeds the squared Gaussian width w(S)² (Gordon, 1988);
for convex cones the converse holds too (Amelunxen et al., 2014). d are whole numbers from 0 to D,
of any shape, which is that of the result.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc

from dofbook import checks
from dofbook.geometry.gaussian_width import alpha, unit_vectors
from dofbook.geometry.precision import with_lapack

RUN_NUMBERS = 2**22  # numbers in the random matrices held at once while simulating


def gordon_bound(dimension: int, d: ArrayLike, width: float) -> np.ndarray:
    """Bound P(hit) as Theorem 3.1 prints it: 3.5 exp(-(k/√(k+1) - w)²/18), k = D - d, cut at 1.

    Below 1 if k/√(k+1) - w > √(18 ln 3.5) = 4.75. Source: Gordon (1988); paper, Theorems 3.1, 3.2.

    >>> gordon_bound(1000, [0, 800], width=10.0).round(4)
    array([0., 1.])
    """
    k = _codimension(dimension, d)
    margin = np.maximum(k / np.sqrt(k + 1) - checks.real("width", width), 0.0)
    return np.minimum(1.0, 3.5 * np.exp(-(margin**2) / 18))


def sharp_bound(dimension: int, d: ArrayLike, width: float) -> np.ndarray:
    """Bound P(hit) by exp(-(α_k - w)²/2) where α_k > w, k = D - d, and by 1 elsewhere.

    The subspace is the kernel of a k x D Gaussian matrix G. min_{u ∈ S} |Gu| has mean at least α_k
    - w (Gordon's comparison) and is 1-Lipschitz in G, so it concentrates.

    >>> sharp_bound(1000, [800, 900], width=10.0).round(4)
    array([2.e-04, 1.e+00])
    """
    k = _codimension(dimension, d)
    return np.exp(-(np.maximum(alpha(k) - checks.real("width", width), 0.0) ** 2) / 2)


BOUNDS = {"gordon": gordon_bound, "sharp": sharp_bound}


def excluded_dimensions(
    dimension: int, width: float, *, probability: float = 0.1, bound: str = "sharp"
) -> int:
    """Count the dimensions at which a bound rules out success with a given probability, in (0, 1].

    The bound is "gordon" (as printed) or "sharp"; 0 where it says nothing.

    >>> [excluded_dimensions(1000, 10.0, bound=bound) for bound in BOUNDS]
    [676, 852]
    """
    checks.choice("bound", bound, sorted(BOUNDS))
    checks.real("probability", probability, 0, 1, open="left")
    every = np.arange(checks.integer("dimension", dimension, 1) + 1)
    return int(np.sum(BOUNDS[bound](dimension, every, width) < probability))


def cap_hit_probability(dimension: int, d: ArrayLike, angle: float, caps: int = 1) -> np.ndarray:
    """Compute P(a random d-dimensional subspace meets a spherical cap), exactly.

    The squared cosine between the cap's axis and the subspace is Beta(d/2, (D-d)/2); the cap is met
    when it is at least cos²(angle), angle in [0, π/2]. With several `caps`, whose centres are drawn
    uniformly on the sphere, it is that of their union: 1 - (1 - p)^caps.

    >>> cap_hit_probability(2, [0, 1, 2], np.pi / 4, caps=2).round(6)  # a line in the plane
    array([0.  , 0.75, 1.  ])
    """
    k = _codimension(dimension, d)
    angle, caps = checks.real("angle", angle, 0, np.pi / 2), checks.integer("caps", caps, 1)
    inner = np.clip(k, 0.5, dimension - 0.5)  # ends, where the Beta law degenerates, set below
    p = betainc(inner / 2, (dimension - inner) / 2, np.sin(angle) ** 2)
    with np.errstate(divide="ignore"):  # p = 1
        p = -np.expm1(caps * np.log1p(-p)) if caps > 1 else p
    return np.where(k == 0, 1.0, np.where(k == dimension, 0.0, p))


def subspace_hit_probability(dimension: int, d: ArrayLike, m: int) -> np.ndarray:
    """Compute P(a random subspace meets a fixed m-dimensional one outside 0): 1 iff d + m > D.

    >>> subspace_hit_probability(10, [6, 7], m=4)
    array([0., 1.])
    """
    k = _codimension(dimension, d)
    return np.where(k < checks.integer("m", m, 0, dimension), 1.0, 0.0) * (m > 0)


def _codimension(dimension: int, d: ArrayLike) -> np.ndarray:
    dimension = checks.integer("dimension", dimension, 1)
    return np.asarray(dimension - checks.integers("d", d, 0, dimension), np.float64)


def simulate_alignment(centers: np.ndarray, *, key: jax.Array, runs: int) -> np.ndarray:
    """Measure max_j |P_d c_j|² of nested random subspaces, shape (runs, D + 1) for d = 0, ..., D.

    The `centers` c_j are unit vectors, shape (D,) or (m, D). The subspaces of a run are spanned by
    the first d columns of one Gaussian matrix, drawn from `fold_in(key, run)`. A union of caps of
    half-opening a is hit at d where the result is at least cos² a.

    >>> simulate_alignment([1.0, 0.0], key=jax.random.key(0), runs=2)[:, [0, 2]].round(6)
    array([[0., 1.],
           [0., 1.]])
    """
    centers = unit_vectors("centers", centers)
    runs, key = checks.integer("runs", runs, 1), checks.key(key)
    batch = max(1, RUN_NUMBERS // centers.shape[1] ** 2)
    return _alignments(centers, key, runs, min(runs, batch))


@with_lapack
@partial(jax.jit, static_argnums=(2, 3))
def _alignments(centers: jax.Array, key: jax.Array, runs: int, batch: int) -> jax.Array:
    size = centers.shape[1]

    def one_run(run):
        g = jax.random.normal(jax.random.fold_in(key, run), (size, size), jnp.float64)
        nearest = jnp.max(jnp.cumsum((centers @ jnp.linalg.qr(g)[0]) ** 2, axis=1), axis=0)
        return jnp.concatenate([jnp.zeros(1), nearest])

    return jax.lax.map(one_run, jnp.arange(runs), batch_size=batch)


def simulate_subspace_margin(
    dimension: int, m: int, codimension: int, *, key: jax.Array, runs: int
) -> np.ndarray:
    """Simulate min |Gu|, (runs,), over unit u of an m-dimensional subspace; G is k x D Gaussian.

    E min |Gu| ≥ α_k - α_m (Gordon); m and k, the `codimension`, lie in 1..D; it is 0 if m > k.

    >>> simulate_subspace_margin(10, m=6, codimension=5, key=jax.random.key(0), runs=2)
    array([0., 0.])
    """
    k = checks.integer("codimension", codimension, 1, checks.integer("dimension", dimension, 1))
    m = checks.integer("m", m, 1, dimension)
    runs, key = checks.integer("runs", runs, 1), checks.key(key)
    return np.zeros(runs) if m > k else _margins(key, runs, dimension, m, k)


@with_lapack
@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _margins(key: jax.Array, runs: int, dimension: int, m: int, k: int) -> jax.Array:
    def one_run(run):
        g = jax.random.normal(jax.random.fold_in(key, run), (k, dimension), jnp.float64)
        return jnp.linalg.svd(g[:, :m], compute_uv=False)[-1]

    return jax.lax.map(one_run, jnp.arange(runs))
