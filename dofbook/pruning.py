"""Lottery tickets and random pruning: which coordinates of the weights are kept.

Pruned weights are zero, not frozen at their initial values; kept ones train. In the form of an
affine subspace, the offset is the masked weights and A selects the kept coordinates.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from dofbook.errors import InputError
from dofbook.optimizers import OptimizerConfig

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
