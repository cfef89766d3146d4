"""Lottery tickets: the weights largest after training, rewound to w0 or to w_t."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dofbook import checks, training
from dofbook.cache import Cache
from dofbook.keys import Role, run_key
from dofbook.methods.full_space import FullSpace
from dofbook.methods.pruning import Pruned, Retraining, keep_largest, keep_schedule, masked

if TYPE_CHECKING:
    import jax

_TRAINED = Cache(2**28)


@dataclass(frozen=True)
class LotteryTicket(Pruned):
    """Keep the d weights largest after training, of all layers at once, rewound to w_t.

    The rewinding point is the w_t of the other methods. Where weight decay is used, the training
    before pruning feels it and the burn-in does not. Biases are pruned like weights.

    Args:
        pruning_epochs: Epochs of full training before pruning; 2 in the paper.
        iterations: Rounds of training and pruning; 1 in the paper. With more, each trains the kept
            weights from the rewinding point and keeps the same fraction (Frankle & Carbin, 2019).
        weight_decay: Coefficient of the penalty weight_decay / 2 * |w|^2 on convolution kernels (of
            three axes or more) before pruning; 1e-4 in the released code, unsaid in the text.

    Source: Larsen et al. (2022), section 4.

    >>> from dofbook.training import Task
    >>> LotteryTicket(pruning_epochs=1).subspace(Task("mlp", "digits"), seed=0, d=100).d
    100
    """

    pruning_epochs: int = 2
    iterations: int = 1
    retraining: Retraining = "common"
    weight_decay: float = 1e-4

    name: ClassVar[str] = "lottery_ticket"
    styles: ClassVar[dict[int, int]] = {0: 5}
    released_code: ClassVar = {"retraining": "released_code"}
    extra_columns: ClassVar = {"pruning_epochs": int} | Pruned.extra_columns
    _constant: ClassVar = {"criterion": "magnitude"}
    _silent = ("nested", "pruning_epochs")  # the epochs have a column of their own

    def validate(self) -> None:
        checks.integer_fields(self, 1, "pruning_epochs", "iterations")
        # 0 and 0.0 are one configuration and must hash alike.
        object.__setattr__(self, "weight_decay", checks.real("weight_decay", self.weight_decay, 0))

    def subspace(self, task, seed, d):
        d = training.task.check_run(task, d)
        w_t = self.offset(task, seed)
        return masked(w_t, self.kept(task, seed, d, w_t))

    def kept(self, task: "training.Task", seed: int, d: int, rewound: "jax.Array") -> np.ndarray:
        """Train, prune by magnitude, and repeat if asked: the coordinates kept, (d,), ascending.

        The first round is ``trained``; later ones train what is left from ``rewound`` (D,).
        """
        d = training.task.check_run(task, d)
        once, *rounds = keep_schedule(task.network.D, d, self.iterations)
        kept = keep_largest(self.trained(task, seed), once)
        for i, count in enumerate(rounds, start=1):
            again = run_key(seed, Role.BURN_IN_BATCHES, i)
            kept = keep_largest(self._train(task, masked(rewound, kept), again), count, kept)
        return kept

    def trained(self, task: "training.Task", seed: int) -> np.ndarray:
        """Train the full network from w0 as the burn-in does: what is pruned, (D,), for all d."""
        key = run_key(seed, Role.BURN_IN_BATCHES)
        return _TRAINED.get(
            (task.network, task.objective, task.data),
            (seed, self.pruning_epochs, self.weight_decay, task.batch_size, task.burn_in_optimizer),
            lambda: self._train(task, FullSpace().subspace(task, seed), key),
            lambda w: w.nbytes,
        )

    def _train(self, task: "training.Task", subspace, key) -> np.ndarray:
        """Train for the epochs before pruning: the weights (D,)."""
        import jax.numpy as jnp

        decay = np.zeros(task.network.D, np.float32)
        for layer in task.network.layers:
            if len(layer.shape) > 2:
                decay[layer.start : layer.stop] = self.weight_decay
        found = training.fit(
            task, subspace, key, optimizer=task.burn_in_optimizer, epochs=self.pruning_epochs,
            decay=jnp.asarray(decay) if decay.any() else None,
            at_offset=jnp.zeros(len(task.objective.metric_names)),  # of no interest
        )  # fmt: skip
        return np.asarray(subspace.point(found.theta))

    def columns(self, task, subspace) -> dict[str, object]:
        return {"pruning_epochs": self.pruning_epochs} | super().columns(task, subspace)

    def epochs_before(self, epochs):
        return self.pruning_epochs * self.iterations
