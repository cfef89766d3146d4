"""The path of full training and its directions, without decomposing D x T.

The path is stored at a spacing, T points of R^D. Its singular values and directions come from the
T x T Gram matrix, summed in float64 over blocks of coordinates (method of snapshots).
"""

from typing import Literal, NamedTuple

import numpy as np

from dofbook import training
from dofbook.errors import InputError
from dofbook.keys import Role, run_key

Basis = Literal["increments", "centred", "uncentred"]

CUT_OFF = 1e-7
"""Singular values below this fraction of the largest are rounding noise of the Gram matrix."""

BLOCK_BYTES = 2**24
"""Memory of one float64 block of coordinates; larger ones cost the system time for fresh pages."""


class Spectrum(NamedTuple):
    """Hold a path's singular values, falling, (r,) float64, r its numerical rank, and directions.

    ``rows`` are orthonormal, in the same order, (r, D) float32.

    >>> spectrum(np.array([[3.0, 0.0], [3.0, 4.0]])).rows.shape
    (2, 2)
    """

    singular_values: np.ndarray
    rows: np.ndarray


def stored_steps(steps: int, spacing: int = 5, extra_first_step: int = 0) -> np.ndarray:
    """List the updates after which a path of so many is stored, ascending; w0 is not among them.

    >>> stored_steps(12)
    array([ 5, 10])
    """
    stored = np.arange(spacing + extra_first_step, steps + 1, spacing)
    if not stored.size:
        raise InputError(
            f"a trajectory of {steps} steps has no point at spacing {spacing}; take more steps or "
            "a smaller spacing."
        )
    return stored


def record(task: "training.Task", seed: int, stored: np.ndarray) -> np.ndarray:
    """Train in the full space and store where training passes: w - w0, (T, D) float32.

    ``stored`` are numbers of updates, ascending, (T,). Initialization and batches are those of the
    burn-in, so that every w_t lies on this path. It takes 4 T D bytes of host memory.

    >>> from dofbook.training import Task
    >>> record(Task("mlp", "digits"), 0, stored_steps(10)).shape
    (2, 2410)
    """
    from dofbook.training.loop import displacements

    points = np.empty((len(stored), task.network.D), np.float32)
    key = run_key(seed, Role.BURN_IN_BATCHES)
    path = enumerate(displacements(task, task.initialization(seed), key), start=1)
    for row, step in enumerate(stored):
        points[row] = next(theta for made, theta in path if made == step)
    return points


def _arrange(points: np.ndarray, basis: Basis) -> np.ndarray:
    """Form the matrix that is decomposed, (T, D) or centred (T + 1, D), in float64."""
    points = np.asarray(points, np.float64)
    if basis == "uncentred":
        return points
    if basis == "increments":
        return np.diff(points, axis=0, prepend=0.0)
    with_w0 = np.concatenate([np.zeros_like(points[:1]), points])
    return with_w0 - with_w0.mean(0)


def _blocks(rows: np.ndarray, size: int | None) -> list[slice]:
    """Cut the coordinates of rows into blocks."""
    size = size or max(1, BLOCK_BYTES // (8 * len(rows)))
    return [slice(start, start + size) for start in range(0, rows.shape[1], size)]


def spectrum(points: np.ndarray, basis: Basis = "increments", size: int | None = None) -> Spectrum:
    """Decompose a trajectory through its T x T Gram matrix, K = X X^T = V S^2 V^T.

    ``points`` are displacements w - w0, (T, D) float32; ``size`` coordinates go at a time, by
    default blocks of 16 MiB. The directions are S^-1 V^T X. Squaring costs half the digits, hence
    float64 and the cut-off; a last orthonormalisation makes up for what small singular values
    lose. Beyond ``points``, memory is 4 r D + O(T^2) bytes and a few blocks. InputError if the
    trajectory does not move or is not finite.
    Source: Larsen et al. (2022), section 4 and A.2; L. Sirovich, Turbulence and the dynamics of
    coherent structures I, Quart. Appl. Math. 45 (1987).

    >>> spectrum(np.array([[3.0, 0.0], [3.0, 4.0]])).singular_values
    array([4., 3.])
    """
    from scipy import linalg

    gram = np.zeros(())
    for columns in _blocks(points, size):
        block = _arrange(points[:, columns], basis)
        gram = gram + block @ block.T
    if not np.isfinite(gram).all() or not gram.any():
        raise InputError("the trajectory has no directions: its points coincide or are not finite.")
    squares, vectors = linalg.eigh(gram)
    squares, vectors = squares[::-1], vectors[:, ::-1]
    rank = min(int((squares > CUT_OFF**2 * squares[0]).sum()), *points.shape)
    values = np.sqrt(squares[:rank])
    weights = (vectors[:, :rank] / values).T

    rows = np.empty((rank, points.shape[1]), np.float32)
    overlaps = np.zeros((rank, rank))
    for columns in _blocks(points, size):
        piece = weights @ _arrange(points[:, columns], basis)
        overlaps += piece @ piece.T
        rows[:, columns] = piece
    if np.abs(overlaps - np.eye(rank)).max() > 1e-7:
        lower = linalg.cholesky(overlaps, lower=True)  # Cholesky QR, first to last
        for columns in _blocks(rows, size):
            block = rows[:, columns].astype(np.float64)
            rows[:, columns] = linalg.solve_triangular(lower, block, lower=True)
    return Spectrum(values, rows)
