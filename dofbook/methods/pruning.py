"""Lottery tickets and random pruning: which coordinates of the weights are kept.

Pruned weights are zero, not frozen at their initial values; kept ones train. In the form of an
affine subspace, the offset is the masked weights and A selects the kept coordinates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import prod
from typing import Literal, NamedTuple, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dofbook.cache import Recent
from dofbook.errors import InputError
from dofbook.keys import Role, run_key
from dofbook.networks import FlatNetwork, build
from dofbook.subspaces import AffineSubspace, Identity, axis_aligned
from dofbook.training import DeviceData, TrainConfig, train
from dofbook.training.optimizers import OptimizerConfig

Criterion = Literal["magnitude", "random"]
RetrainingSchedule = Literal["common", "released_code"]


@dataclass(frozen=True)
class PruningConfig:
    """Say how the kept coordinates are chosen and how they are retrained.

    Args:
        criterion: "magnitude" keeps the largest weights of the trained network (lottery tickets);
            "random" keeps coordinates drawn uniformly, without training.
        training_epochs: Epochs of full training before magnitude pruning; 2 in the paper.
        iterations: Rounds of training and pruning; 1 in the paper. With more, each round trains
            the kept weights from the rewinding point and keeps the same fraction of them
            (Frankle & Carbin, 2019), down to the exact count of the last.
        schedule: Retraining by the "common" optimizer of all methods, or by momentum SGD with the
            stepped rate of the paper's "released_code"; see ``retraining_optimizer``.
        weight_decay: Coefficient of the penalty weight_decay / 2 * |w|^2 on convolution kernels
            (arrays of more than two axes) while training before pruning; 1e-4 in the released
            code, unsaid in the text.

    Raises:
        InputError: If a value is not allowed.
    """

    criterion: Criterion = "magnitude"
    training_epochs: int = 2
    iterations: int = 1
    schedule: RetrainingSchedule = "common"
    weight_decay: float = 1e-4

    def __post_init__(self):
        for name, allowed in (("criterion", Criterion), ("schedule", RetrainingSchedule)):
            value = getattr(self, name)
            if value not in get_args(allowed):
                raise InputError(f"{name} is {value!r}; allowed: {', '.join(get_args(allowed))}.")
        for name in ("training_epochs", "iterations"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} is {value!r}; it must be an integer of at least 1.")
        if self.criterion == "random" and self.iterations > 1:
            raise InputError(
                f"iterations is {self.iterations}; random pruning is done at once (1)."
            )
        # 0 and 0.0 are one configuration and must hash alike.
        object.__setattr__(self, "weight_decay", float(self.weight_decay))
        defaults = (PruningConfig.training_epochs, PruningConfig.weight_decay)
        plain = (self.training_epochs, self.weight_decay) == defaults
        if self.criterion == "random" and not plain:
            raise InputError(
                "random pruning trains nothing beforehand; it takes no training_epochs and no "
                "weight_decay."
            )
        if not 0 <= self.weight_decay < float("inf"):
            raise InputError(
                f"weight_decay is {self.weight_decay}; it must be finite and not negative."
            )


def retraining_optimizer(config: PruningConfig, common: OptimizerConfig) -> OptimizerConfig:
    """Choose the optimizer of the kept weights.

    Args:
        config: The pruning configuration.
        common: The optimizer of the other methods.

    Returns:
        ``common``, or momentum SGD at rate 0.1 with the released code's steps.
    """
    if config.schedule == "common":
        return common
    return OptimizerConfig(name="momentum", learning_rate=0.1, schedule="released_code")


class Layer(NamedTuple):
    """Name one parameter array of a network and say where it lies in the flat weights.

    Attributes:
        name: Path in the Flax tree, such as "Conv_0/kernel".
        shape: Shape of the array.
        start: First coordinate in the flat weights.
        stop: One past its last coordinate.
    """

    name: str
    shape: tuple[int, ...]
    start: int
    stop: int


def parameter_layers(module: nn.Module, image_shape: tuple[int, ...]) -> tuple[Layer, ...]:
    """List the parameter arrays of a module in the order of its flat weights.

    Args:
        module: The network, as given to ``networks.flatten``.
        image_shape: Shape (H, W, C) of one image.

    Returns:
        One entry per array; they follow each other and cover 0 to D.
    """
    blank = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), blank)["params"]
    found, start = [], 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        found.append(Layer(name, tuple(leaf.shape), start, start + prod(leaf.shape)))
        start += prod(leaf.shape)
    return tuple(found)


@lru_cache(maxsize=32)
def named_layers(
    name: str, network: FlatNetwork, image_shape: tuple[int, ...]
) -> tuple[Layer, ...]:
    """List the parameter arrays of one of the package's networks.

    Args:
        name: One of ``networks.NAMES``.
        network: The same network, flat; it tells the number of logits.
        image_shape: Shape (H, W, C) of one image.

    Returns:
        As ``parameter_layers``.
    """
    w = jax.ShapeDtypeStruct((network.D,), jnp.float32)
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    num_classes = jax.eval_shape(network.apply, w, image).shape[-1]
    return parameter_layers(build(name, num_classes), image_shape)


class KeptCount(NamedTuple):
    """Count what pruning left of one parameter array.

    Attributes:
        name: Path in the Flax tree.
        size: Parameters before pruning.
        kept: Parameters after pruning.
        collapsed: Whether it is a layer's kernel (two axes or more) with nothing kept: nothing
            passes, except around it where the network has a shortcut.
    """

    name: str
    size: int
    kept: int
    collapsed: bool


def count_kept(kept: np.ndarray, layers: Sequence[Layer]) -> tuple[KeptCount, ...]:
    """Report what pruning left of each parameter array.

    Args:
        kept: Coordinates kept, (d,).
        layers: The arrays, see ``parameter_layers``.

    Returns:
        One count per array, in order; their sum is d.
    """
    edges = [layer.start for layer in layers] + [layers[-1].stop]
    counts = np.diff(np.searchsorted(np.sort(kept), edges))
    return tuple(
        KeptCount(layer.name, prod(layer.shape), int(n), n == 0 and len(layer.shape) > 1)
        for layer, n in zip(layers, counts, strict=True)
    )


def keep_largest(w: np.ndarray, count: int, among: np.ndarray | None = None) -> np.ndarray:
    """Choose the coordinates of largest magnitude, exactly as many as asked.

    Args:
        w: Weights, (D,).
        count: Coordinates to keep, 1 <= count <= D (or as many as there are candidates).
        among: Candidates, ascending; all by default.

    Returns:
        Coordinates kept, (count,), ascending. Of equal magnitudes the first in the flat order are
        kept; weights that are not numbers are pruned first.

    Raises:
        InputError: If there are not as many candidates.
    """
    candidates = np.arange(len(w)) if among is None else np.asarray(among)
    if not 1 <= count <= len(candidates):
        raise InputError(
            f"{count} coordinates are to be kept; the number must lie between 1 and "
            f"{len(candidates)}."
        )
    order = np.argsort(-np.abs(np.asarray(w))[candidates], kind="stable")
    return np.sort(candidates[order[:count]])


def keep_random(key: jax.Array, count: int, D: int) -> np.ndarray:
    """Choose coordinates uniformly at random; with one key, fewer lie among more.

    Args:
        key: Random key.
        count: Coordinates to keep.
        D: Number of parameters.

    Returns:
        Coordinates kept, (count,), ascending.

    Raises:
        InputError: If count does not lie between 1 and D.
    """
    if not 1 <= count <= D:
        raise InputError(f"d is {count}; it must lie between 1 and D = {D}.")
    return np.sort(np.asarray(jax.random.permutation(key, D))[:count])


def keep_schedule(D: int, d: int, iterations: int) -> tuple[int, ...]:
    """Divide pruning from D to d into rounds that keep the same fraction each, up to rounding.

    Args:
        D: Number of parameters.
        d: Coordinates kept after the last round.
        iterations: Number of rounds.

    Returns:
        Coordinates kept after each round; the last is exactly d.
    """
    return tuple(round(D * (d / D) ** (i / iterations)) for i in range(1, iterations)) + (d,)


def masked(w: jax.Array, kept: np.ndarray) -> AffineSubspace:
    """Build the subspace of a pruned network: kept coordinates train, the others are zero.

    Args:
        w: Weights to start from, (D,).
        kept: Coordinates kept, (d,).

    Returns:
        The subspace; its offset is w on the kept coordinates and 0 elsewhere.
    """
    directions = axis_aligned(kept, len(w))
    return AffineSubspace(directions.lift(directions.project(w)), directions)


@jax.custom_vjp
def _penalised(w: jax.Array, decay: jax.Array) -> jax.Array:
    return w


_penalised.defvjp(
    lambda w, decay: (w, (w, decay)),
    lambda kept, g: (g + kept[1] * kept[0], jnp.zeros_like(kept[1])),
)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["offset", "directions", "decay"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Decaying(AffineSubspace):
    """Add weight decay to whatever loss is descended: the gradient at w gains decay * w.

    This is the penalty sum_k decay_k w_k^2 / 2 on the weights, not on theta.

    Args:
        decay: Coefficient of every weight, (D,).
    """

    decay: jax.Array

    def point(self, theta: jax.Array) -> jax.Array:
        """Map theta (d,) to the weights, (D,)."""
        return _penalised(super().point(theta), self.decay)


def _decay(config: PruningConfig, layers: Sequence[Layer] | None, D: int) -> jax.Array | None:
    if not config.weight_decay:
        return None
    if layers is None:
        raise InputError(
            f"weight_decay is {config.weight_decay}, on convolution kernels; give the network's "
            "layers (pruning.parameter_layers), or set weight_decay to 0."
        )
    decay = np.zeros(D, np.float32)
    for layer in layers:
        if len(layer.shape) > 2:
            decay[layer.start : layer.stop] = config.weight_decay
    return jnp.asarray(decay) if decay.any() else None


def _fit(network, data, subspace, key, config, decay, batch_size, optimizer) -> np.ndarray:
    """Train for the epochs before pruning, giving the weights reached."""
    if decay is not None:
        subspace = Decaying(subspace.offset, subspace.directions, decay)
    training = TrainConfig(config.training_epochs, batch_size, optimizer=optimizer)
    # The metrics at the start are of no interest here; giving zeros spares an evaluation.
    theta = train(network, data, subspace, key, training, at_offset=jnp.zeros(4)).theta
    return np.asarray(subspace.point(theta))


_RECENT = Recent(2**28)


def magnitude_mask(
    network: FlatNetwork,
    data: DeviceData,
    seed: int,
    d: int,
    rewound: jax.Array,
    config: PruningConfig,
    layers: Sequence[Layer] | None = None,
    batch_size: int = 128,
    optimizer: OptimizerConfig | None = None,
) -> np.ndarray:
    """Train, prune by magnitude over all layers at once, and repeat if asked.

    Biases are pruned like weights. The first round trains the full network from w0, in the batch
    order of the burn-in; its result is kept and serves all d of a seed. Each later round trains
    what is left from the rewinding point.

    Args:
        network: The flat network.
        data: The data set on the device.
        seed: Seed of the run.
        d: Parameters to keep.
        rewound: Rewinding point, (D,): w0 or w_t.
        config: Epochs, rounds and weight decay.
        layers: The network's arrays, see ``parameter_layers``; needed for weight decay only.
        batch_size: Images per step.
        optimizer: Optimizer of this training; as in ``training.burn_in`` by default.

    Returns:
        Coordinates kept, (d,), ascending.

    Raises:
        InputError: If d does not lie between 1 and D, or weight decay lacks the layers.

    Source:
        Larsen et al. (2022), section 4; Frankle and Carbin (2019) for several rounds.
    """
    if not 1 <= d <= network.D:
        raise InputError(f"d is {d}; it must lie between 1 and D = {network.D}.")
    optimizer = optimizer or OptimizerConfig(name="momentum", learning_rate=5e-2)
    decay = _decay(config, layers, network.D)
    fit = partial(_fit, network, data, config=config, decay=decay, batch_size=batch_size)

    def first():
        w0 = network.init(run_key(seed, Role.INITIALIZATION))
        full = AffineSubspace(w0, Identity(network.D))
        return fit(full, run_key(seed, Role.BURN_IN_BATCHES), optimizer=optimizer)

    key = (seed, config.training_epochs, config.weight_decay, batch_size, optimizer)
    w = _RECENT.get((network, data), key, first, lambda w: w.nbytes)
    kept = None
    for i, count in enumerate(keep_schedule(network.D, d, config.iterations)):
        if i:
            batches = run_key(seed, Role.BURN_IN_BATCHES, i)
            w = fit(masked(rewound, kept), batches, optimizer=optimizer)
        kept = keep_largest(w, count, kept)
    return kept
