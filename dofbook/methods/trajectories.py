"""Lottery subspaces: the top directions of a full-training trajectory, without decomposing D x T.

The trajectory is stored at a spacing, T points of R^D. Its singular values and directions come from
the T x T Gram matrix, summed in float64 over blocks of coordinates (method of snapshots).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import jax
import numpy as np
from scipy import linalg

from dofbook.cache import Recent
from dofbook.errors import InputError
from dofbook.keys import Role, run_key
from dofbook.networks import FlatNetwork
from dofbook.subspaces import AffineSubspace, Identity
from dofbook.training import (
    DeviceData,
    compiled_descent,
    epoch_order,
    initial_state,
    steps_per_epoch,
    stretches,
)
from dofbook.training.optimizers import OptimizerConfig

Basis = Literal["increments", "centred", "uncentred"]

CUT_OFF = 1e-7
"""Singular values below this fraction of the largest are rounding noise of the Gram matrix."""

BLOCK_BYTES = 2**24
"""Memory of one float64 block of coordinates; larger ones cost the system time for fresh pages."""


@dataclass(frozen=True)
class LotteryConfig:
    """Say which trajectory is stored and which of its directions span the lottery subspace.

    Args:
        basis: What is decomposed. "increments": the steps between stored points, as the paper's
            released code. "centred": w_{0:T} less its mean, the principal components of the
            paper's text. "uncentred": w_t - w_0. All span the same space; truncated to d
            directions they differ greatly.
        spacing: Updates between stored points; 5 in the released code.
        steps: Updates of full training; None for as many as the training inside the subspace
            makes.
        extra_first_step: 1 reproduces the released code, whose first increment covers
            spacing + 1 updates; 0 makes all alike.

    Raises:
        InputError: If a value is not allowed.
    """

    basis: Basis = "increments"
    spacing: int = 5
    steps: int | None = None
    extra_first_step: int = 0

    def __post_init__(self):
        if self.basis not in get_args(Basis):
            raise InputError(f"basis is {self.basis!r}; allowed: {', '.join(get_args(Basis))}.")
        for name in ("spacing", "steps"):
            value = getattr(self, name)
            if name == "steps" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} is {value!r}; it must be an integer of at least 1.")
        if self.extra_first_step not in (0, 1):
            raise InputError(f"extra_first_step is {self.extra_first_step!r}; allowed: 0, 1.")


class Spectrum(NamedTuple):
    """Singular values of a trajectory and their directions in weight space.

    Attributes:
        singular_values: Descending, (r,) float64, where r is the numerical rank.
        rows: Orthonormal directions in the same order, (r, D) float32.
    """

    singular_values: np.ndarray
    rows: np.ndarray


def trajectory_steps(config: LotteryConfig, epochs: int, images: int, batch_size: int) -> int:
    """Count the updates of the trajectory.

    Args:
        config: Its own number of updates, if it has one.
        epochs: Epochs of full training, used where it has none.
        images: Training images.
        batch_size: Images per step.

    Returns:
        The number of updates.
    """
    return config.steps or epochs * steps_per_epoch(images, batch_size)


def stored_steps(config: LotteryConfig, steps: int) -> np.ndarray:
    """List the updates after which the trajectory is stored; w0 is not among them.

    Args:
        config: Spacing and first step.
        steps: Updates of full training.

    Returns:
        Numbers of updates, ascending, (T,).

    Raises:
        InputError: If the training is too short for a single point.
    """
    stored = np.arange(config.spacing + config.extra_first_step, steps + 1, config.spacing)
    if not stored.size:
        raise InputError(
            f"a trajectory of {steps} steps has no point at spacing {config.spacing}; take more "
            "steps or a smaller spacing."
        )
    return stored


def _displacements(
    network: FlatNetwork,
    data: DeviceData,
    w0: jax.Array,
    key: jax.Array,
    batch_size: int,
    optimizer: OptimizerConfig,
) -> Iterator[jax.Array]:
    """Train in the full space as ``training.burn_in`` does, giving w - w0 after every update."""
    subspace = AffineSubspace(w0, Identity(network.D))
    descend, state = compiled_descent(network, optimizer), initial_state(subspace, optimizer)
    count = len(data.x_train)
    epoch = 0
    while True:
        order = epoch_order(key, epoch, count)
        for batches in stretches(order, 0, steps_per_epoch(count, batch_size), batch_size):
            # One update a call: two programs serve every spacing and epoch.
            for i in range(len(batches)):
                state = descend(subspace, state, data.x_train, data.y_train, batches[i : i + 1])
                yield state.theta
        epoch += 1


def record(
    network: FlatNetwork,
    data: DeviceData,
    seed: int,
    config: LotteryConfig,
    steps: int,
    batch_size: int = 128,
    optimizer: OptimizerConfig | None = None,
) -> np.ndarray:
    """Train in the full space and store where training passes.

    Args:
        network: The flat network.
        data: The data set on the device.
        seed: Seed of the run. Initialization and batches are those of the burn-in, so that every
            w_t of a burn-in affine subspace lies on this trajectory.
        config: Spacing; its basis is not used.
        steps: Updates of full training.
        batch_size: Images per step.
        optimizer: Optimizer of full training; as in ``training.burn_in`` by default.

    Returns:
        Displacements w - w0 at the stored points, (T, D) float32: 4 T D bytes of host memory.

    Raises:
        InputError: If the training is too short for a single point.
    """
    stored = stored_steps(config, steps)
    optimizer = optimizer or OptimizerConfig(name="momentum", learning_rate=5e-2)
    w0 = network.init(run_key(seed, Role.INITIALIZATION))
    key = run_key(seed, Role.BURN_IN_BATCHES)
    points = np.empty((len(stored), network.D), np.float32)
    thetas = _displacements(network, data, w0, key, batch_size, optimizer)
    row = 0
    for step, theta in zip(range(1, stored[-1] + 1), thetas, strict=False):
        if step == stored[row]:
            points[row] = theta
            row += 1
    return points


def arrange(points: np.ndarray, basis: Basis) -> np.ndarray:
    """Form the matrix that is decomposed from displacements w - w0.

    Args:
        points: Displacements in order, (T, D); w0 itself is left out.
        basis: See ``LotteryConfig``.

    Returns:
        Increments (T, D), points of w_{0:T} less their mean (T + 1, D), or the displacements
        themselves, in float64.
    """
    points = np.asarray(points, np.float64)
    if basis == "uncentred":
        return points
    if basis == "increments":
        return np.diff(points, axis=0, prepend=0.0)
    with_w0 = np.concatenate([np.zeros_like(points[:1]), points])
    return with_w0 - with_w0.mean(0)


def _blocks(points: np.ndarray, basis: Basis, size: int | None):
    """Cut the matrix into blocks of coordinates, each formed in float64 when its turn comes."""
    size = size or max(1, BLOCK_BYTES // (8 * len(points)))
    for start in range(0, points.shape[1], size):
        columns = slice(start, start + size)
        yield columns, arrange(points[:, columns], basis)


def _orthonormalise(rows: np.ndarray, gram: np.ndarray, size: int) -> None:
    """Orthonormalise nearly orthonormal rows in place, first to last (Cholesky QR)."""
    lower = linalg.cholesky(gram, lower=True)
    for start in range(0, rows.shape[1], size):
        columns = slice(start, start + size)
        rows[:, columns] = linalg.solve_triangular(
            lower, rows[:, columns].astype(np.float64), lower=True
        )


def spectrum(points: np.ndarray, basis: Basis = "increments", size: int | None = None) -> Spectrum:
    """Decompose a trajectory through its T x T Gram matrix, K = X X^T = V S^2 V^T.

    The directions are S^-1 V^T X. Squaring costs half the digits, hence float64 and the cut-off;
    a last orthonormalisation makes up for what small singular values lose.

    Args:
        points: Displacements w - w0 of the stored points, (T, D) float32.
        basis: Which matrix X of them is decomposed; see ``LotteryConfig``.
        size: Coordinates per block; by default blocks of 16 MiB.

    Returns:
        Singular values and directions. Beyond ``points``, memory is 4 r D + O(T^2) bytes and a
        few blocks.

    Raises:
        InputError: If the trajectory does not move or is not finite.

    Source:
        Larsen et al. (2022), section 4 and A.2; L. Sirovich, Turbulence and the dynamics of
        coherent structures I, Quart. Appl. Math. 45 (1987).
    """
    gram = sum(block @ block.T for _, block in _blocks(points, basis, size))
    if not np.isfinite(gram).all() or not gram.any():
        raise InputError("the trajectory has no directions: its points coincide or are not finite.")
    squares, vectors = linalg.eigh(gram)
    squares, vectors = squares[::-1], vectors[:, ::-1]
    rank = min(int((squares > CUT_OFF**2 * squares[0]).sum()), *points.shape)
    values = np.sqrt(squares[:rank])
    weights = (vectors[:, :rank] / values).T

    rows = np.empty((rank, points.shape[1]), np.float32)
    overlaps = np.zeros((rank, rank))
    for columns, block in _blocks(points, basis, size):
        piece = weights @ block
        overlaps += piece @ piece.T
        rows[:, columns] = piece
    if np.abs(overlaps - np.eye(rank)).max() > 1e-7:
        _orthonormalise(rows, overlaps, size or max(1, BLOCK_BYTES // (8 * rank)))
    return Spectrum(values, rows)


_RECENT = Recent(2**31)


def lottery_spectrum(
    network: FlatNetwork,
    data: DeviceData,
    seed: int,
    config: LotteryConfig,
    steps: int,
    batch_size: int = 128,
    optimizer: OptimizerConfig | None = None,
) -> Spectrum:
    """Train, store and decompose; a seed's result is kept, so that one trajectory serves all d.

    Args:
        network: The flat network.
        data: The data set on the device.
        seed: Seed of the run.
        config: Basis and spacing.
        steps: Updates of full training, used where the configuration leaves them open.
        batch_size: Images per step.
        optimizer: Optimizer of full training; as in ``training.burn_in`` by default.

    Returns:
        Singular values and directions; shared, so not to be changed in place.

    Raises:
        InputError: If the trajectory has no directions.
    """
    steps = config.steps or steps

    def compute():
        points = record(network, data, seed, config, steps, batch_size, optimizer)
        return spectrum(points, config.basis)

    key = (seed, config, steps, batch_size, optimizer)
    return _RECENT.get((network, data), key, compute, lambda s: s.rows.nbytes)
