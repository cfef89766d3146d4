"""Methods of the paper's Table 1: each builds the ``AffineSubspace`` it trains in."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from dofbook import subspaces
from dofbook.errors import InputError
from dofbook.keys import Role, run_key
from dofbook.methods import pruning
from dofbook.methods.pruning import Layer, PruningConfig
from dofbook.methods.trajectories import LotteryConfig, lottery_spectrum, trajectory_steps
from dofbook.networks import FlatNetwork
from dofbook.subspaces import AffineSubspace, Dense, Identity
from dofbook.training import DeviceData, burn_in
from dofbook.training.optimizers import OptimizerConfig


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


def offset(
    network: FlatNetwork,
    data: DeviceData,
    seed: int,
    burn_in_steps: int = 0,
    batch_size: int = 128,
    optimizer: OptimizerConfig | None = None,
) -> jax.Array:
    """Train a run in the full space up to step t: the same point for every method and d.

    Args:
        network: The flat network.
        data: The data set, for the burn-in.
        seed: Seed of the run.
        burn_in_steps: t, updates in the full space; 0 for the initialization.
        batch_size: Images per step.
        optimizer: Optimizer of full training; momentum SGD by default.

    Returns:
        w_t, (D,).

    Raises:
        InputError: If t is negative.
    """
    if burn_in_steps < 0:
        raise InputError(f"burn_in_steps is {burn_in_steps}; it must be at least 0.")
    w0, key = initialization(network, seed), run_key(seed, Role.BURN_IN_BATCHES)
    return burn_in(network, data, w0, key, burn_in_steps, batch_size, optimizer)


def random_affine(
    network: FlatNetwork,
    data: DeviceData,
    seed: int,
    d: int,
    burn_in_steps: int = 0,
    nested: bool = False,
    batch_size: int = 128,
    optimizer: OptimizerConfig | None = None,
    directions: subspaces.Kind = "dense",
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
        directions: Kind of random directions, see ``subspaces.directions``.

    Returns:
        The subspace w_t + span(A) (paper, Eq. 2.2).

    Raises:
        InputError: If d does not lie between 1 and D, t is negative or the kind is unknown.
    """
    key = run_key(seed, Role.DIRECTIONS, *(() if nested else (d,)))
    drawn = subspaces.directions(directions, key, d, network.D)
    w_t = offset(network, data, seed, burn_in_steps, batch_size, optimizer)
    return AffineSubspace(w_t, drawn)


def lottery_subspace(
    network: FlatNetwork,
    data: DeviceData,
    seed: int,
    d: int,
    burn_in_steps: int = 0,
    config: LotteryConfig | None = None,
    epochs: int = 3,
    batch_size: int = 128,
    optimizer: OptimizerConfig | None = None,
) -> AffineSubspace:
    """Build a lottery subspace: the top d directions of a full training, at w0 or at w_t.

    The trajectory always starts at w0. The subspaces of a seed are nested in d.

    Args:
        network: The flat network.
        data: The data set.
        seed: Seed of the run.
        d: Training dimension.
        burn_in_steps: t, the step of full training that is rewound to.
        config: Trajectory and basis; the released code's by default.
        epochs: Epochs of full training, where the configuration leaves its steps open.
        batch_size: Images per step of full training.
        optimizer: Optimizer of full training; momentum SGD by default.

    Returns:
        The subspace w_t + span(U_d) (paper, section 4).

    Raises:
        InputError: If d is below 1 or exceeds the rank of the trajectory, or t is negative.
    """
    config = config or LotteryConfig()
    if d < 1:
        raise InputError(f"d is {d}; it must be at least 1.")
    steps = trajectory_steps(config, epochs, len(data.x_train), batch_size)
    rows = lottery_spectrum(network, data, seed, config, steps, batch_size, optimizer).rows
    if d > len(rows):
        raise InputError(
            f"d is {d}, but {steps} steps of training stored every {config.spacing} span only "
            f"{len(rows)} directions; take a smaller d, more steps or a smaller spacing."
        )
    w_t = offset(network, data, seed, burn_in_steps, batch_size, optimizer)
    return AffineSubspace(w_t, Dense(jnp.asarray(rows[:d])))


def lottery_ticket(
    network: FlatNetwork,
    data: DeviceData,
    seed: int,
    d: int,
    burn_in_steps: int = 0,
    config: PruningConfig | None = None,
    layers: Sequence[Layer] | None = None,
    batch_size: int = 128,
    optimizer: OptimizerConfig | None = None,
) -> AffineSubspace:
    """Build a lottery ticket: the d weights largest after training, rewound to w0 or to w_t.

    The rewinding point is the w_t of the other methods. Where weight decay is used, the training
    before pruning feels it and the burn-in does not.

    Args:
        network: The flat network.
        data: The data set.
        seed: Seed of the run.
        d: Parameters kept.
        burn_in_steps: t, the step of full training that is rewound to.
        config: Epochs before pruning, rounds, weight decay; the released code's by default.
        layers: The network's arrays, from ``pruning.parameter_layers``; weight decay needs them.
        batch_size: Images per step before pruning.
        optimizer: Optimizer before pruning; momentum SGD by default.

    Returns:
        The subspace; ``pruning.retraining_optimizer`` says how the paper's code trains in it.

    Raises:
        InputError: If d does not lie between 1 and D, t is negative, the criterion is "random" or
            weight decay lacks the layers.
    """
    config = config or PruningConfig()
    if config.criterion != "magnitude":
        raise InputError(f"criterion is {config.criterion!r}; a lottery ticket's is 'magnitude'.")
    w_t = offset(network, data, seed, burn_in_steps, batch_size, optimizer)
    kept = pruning.magnitude_mask(
        network, data, seed, d, w_t, config, layers, batch_size, optimizer
    )
    return pruning.masked(w_t, kept)


def random_pruning(
    network: FlatNetwork,
    data: DeviceData,
    seed: int,
    d: int,
    burn_in_steps: int = 0,
    nested: bool = False,
    batch_size: int = 128,
    optimizer: OptimizerConfig | None = None,
) -> AffineSubspace:
    """Prune all but d random weights, at w0 or at w_t.

    Args:
        network: The flat network.
        data: The data set, for the burn-in.
        seed: Seed of the run.
        d: Parameters kept.
        burn_in_steps: t, updates in the full space before pruning.
        nested: Whether the weights kept at d are among those kept at any larger d; otherwise every
            d has a draw of its own.
        batch_size: Images per burn-in step.
        optimizer: Optimizer of the burn-in; momentum SGD by default.

    Returns:
        The subspace: kept weights train from their value in w_t, the others are zero.

    Raises:
        InputError: If d does not lie between 1 and D, or t is negative.
    """
    key = run_key(seed, Role.DIRECTIONS, *(() if nested else (d,)))
    kept = pruning.keep_random(key, d, network.D)
    return pruning.masked(offset(network, data, seed, burn_in_steps, batch_size, optimizer), kept)
