"""Methods of the paper's Table 1: each builds the ``AffineSubspace`` it trains in."""

import jax

from dofbook.errors import InputError
from dofbook.keys import Role, run_key
from dofbook.networks import FlatNetwork
from dofbook.optimizers import OptimizerConfig
from dofbook.subspaces import AffineSubspace, Identity, gaussian
from dofbook.training import DeviceData, burn_in


def initialization(network: FlatNetwork, seed: int) -> jax.Array:
    """Draw the initial weights of a run.

    Args:
        network: The flat network.
        seed: Seed of the run; the same for every method, d and t.

    Returns:
        w0, (D,).
    """
    return network.init(run_key(seed, Role.INITIALIZATION))


def full_space(network: FlatNetwork, seed: int) -> AffineSubspace:
    """Build the full space around w0: the baseline.

    Args:
        network: The flat network.
        seed: Seed of the run.

    Returns:
        The subspace with d = D.
    """
    return AffineSubspace(initialization(network, seed), Identity(network.D))


def random_affine(
    network: FlatNetwork,
    data: DeviceData,
    seed: int,
    d: int,
    burn_in_steps: int = 0,
    nested: bool = False,
    batch_size: int = 128,
    optimizer: OptimizerConfig | None = None,
) -> AffineSubspace:
    """Build a random affine subspace (t = 0) or a burn-in affine subspace (t > 0).

    Args:
        network: The flat network.
        data: The data set, for the burn-in.
        seed: Seed of the run.
        d: Training dimension.
        burn_in_steps: t, updates in the full space before the subspace is laid.
        nested: Whether the directions of a seed at d are the first d of one sequence; otherwise
            every d has directions of its own, as in the paper.
        batch_size: Images per burn-in step.
        optimizer: Optimizer of the burn-in; momentum SGD by default.

    Returns:
        The subspace w_t + span(A) (paper, Eq. 2.2).

    Raises:
        InputError: If d does not lie between 1 and D, or t is negative.
    """
    if burn_in_steps < 0:
        raise InputError(f"burn_in_steps is {burn_in_steps}; it must be at least 0.")
    directions_key = run_key(seed, Role.DIRECTIONS, *(() if nested else (d,)))
    directions = gaussian(directions_key, d, network.D)
    w_t = burn_in(
        network,
        data,
        initialization(network, seed),
        run_key(seed, Role.BURN_IN_BATCHES),
        burn_in_steps,
        batch_size,
        optimizer,
    )
    return AffineSubspace(w_t, directions)
