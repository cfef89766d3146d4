"""Descent confined to the top of the Hessian's spectrum, or kept off it (Song et al. 2024)."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from dofbook import checks
from dofbook.experiments.config import Cell
from dofbook.training.config import TaskConfig

ARMS = ("all", "top", "rest")
"""What of a step is made: everything, its part in the top space, its part off it."""


@dataclass(frozen=True, kw_only=True)
class ConfinedCell(Cell):
    """Describe plain gradient descent from w_t with every step projected.

    The ``top`` eigenvectors of the Hessian on the first ``images`` are computed anew every
    ``every`` of ``steps`` steps; the batches are those of training in a subspace.

    >>> ConfinedCell(task=TaskConfig("mnist")).place()["method"]
    'beyond.confined:ConfinedCell'
    """

    t: int = 100
    steps: int = 469
    every: int = 20
    top: int = 10
    images: int = 1000
    learning_rate: float = 0.05

    kind: ClassVar[str] = "beyond.confined:ConfinedCell"

    def validate(self):
        checks.integer_fields(self, 1, "t", "steps", "every", "top", "images")
        checks.positive("learning_rate", self.learning_rate)

    def work(self):
        return replace(super().work(), epochs=10.0)

    def parts(self, task, seed):
        """Give the mean loss of all training images for each arm, every ``every`` steps.

        Columns: arm, update, mean_loss.
        """
        import jax
        import jax.numpy as jnp
        from beyond.inside import steps
        from scipy.sparse.linalg import eigsh

        from dofbook.experiments.linearized import weights_after
        from dofbook.landscape import hessian
        from dofbook.training import evaluate

        data = task.arrays
        smooth = task.network.with_derivatives("all")
        few = data.x_train[: self.images], data.y_train[: self.images]
        long_enough = replace(task, epochs=-(-self.steps // task.steps_per_epoch))

        @jax.jit
        def step(w, part, U, keep, cut):
            def loss(w):
                x, y = data.x_train[part], data.y_train[part]
                return task.objective.loss(task.network.apply(w, x), y).mean()

            g = jax.grad(loss)(w)
            return w - self.learning_rate * (keep * g + cut * (g @ U) @ U.T)

        start = weights_after(task, seed, self.t)
        for arm, keep, cut in zip(ARMS, (1.0, 0.0, 1.0), (0.0, 1.0, -1.0), strict=True):
            w, U, made, losses = start, jnp.zeros((len(start), self.top)), [], []
            batch = steps(long_enough, seed)
            for done in range(self.steps + 1):
                if done % self.every == 0 or done == self.steps:
                    made.append(done)
                    losses.append(float(evaluate(task, w)[0]))
                    if arm != "all" and done < self.steps:
                        v0 = np.random.default_rng(seed).standard_normal(len(w))
                        operator = hessian.hessian(smooth, w, *few, objective=task.objective)
                        U = jnp.asarray(eigsh(operator, self.top, which="LA", v0=v0, tol=1e-3)[1])
                        U = U.astype(jnp.float32)
                if done < self.steps:
                    w = step(w, next(batch)[0], U, keep, cut)
            yield {"arm": arm, "update": made, "mean_loss": losses}


def published():
    """List the cells of the published table: Conv-2 on MNIST from w_100, ten seeds."""
    return [ConfinedCell(task=TaskConfig("mnist", "conv2"), seeds=(seed,)) for seed in range(3, 13)]


def falls(rows):
    """Tabulate the fall of the loss of each seed by arm, as a share of unconfined descent's."""
    first, last = (rows[rows["update"] == rows["update"].agg(end)] for end in ("min", "max"))
    ends = [
        part.pivot_table(index="seed", columns="arm", values="mean_loss") for part in (first, last)
    ]
    fall = ends[0] - ends[1]
    return fall.div(fall["all"], axis=0)
