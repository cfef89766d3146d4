"""The pruning limit: how few weights of a trained network can hold a loss, by its curvature.

The ellipsoid of the Hessian at the trained weights w, seen from the pruned ones at the distance
R(k) = |w - w pruned to k|, has about sum r_i^2 / (R^2 + r_i^2) free dimensions, r_i^2 = 2 eps /
lambda_i; k weights reach it if k is at least D less that (Zhang et al. 2023).
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd

from dofbook import checks
from dofbook.experiments.config import Cell
from dofbook.methods import LotteryTicket
from dofbook.training.config import TaskConfig

PER_OCTAVE = 8
"""Numbers of weights at which the distance is tabulated."""


@dataclass(frozen=True, kw_only=True)
class CurvatureCell(Cell):
    """Tabulate the Hessian's spectrum on some images at the weights that tickets are pruned from.

    >>> CurvatureCell(task=TaskConfig("mnist")).place()["method"]
    'beyond.pruning:CurvatureCell'
    """

    pruning_epochs: int = 2
    images: int = 1000
    top: int = 20
    steps: int = 40

    kind: ClassVar[str] = "beyond.pruning:CurvatureCell"

    def validate(self):
        checks.integer_fields(self, 1, "pruning_epochs", "images", "top", "steps")

    def work(self):
        return replace(super().work(), epochs=self.pruning_epochs + 1)

    def parts(self, task, seed):
        """Give rows ("spectrum", eigenvalue, how many) and ("distance", k, R(k)).

        Beside them D and trained_loss, the mean loss of all training images.
        """
        from dofbook.landscape import hessian
        from dofbook.training import evaluate

        method = LotteryTicket(pruning_epochs=self.pruning_epochs)
        w, data = method.trained(task, seed), task.arrays
        every = task.network.with_derivatives("all")
        few = data.x_train[: self.images], data.y_train[: self.images]
        operator = hessian.hessian(every, w, *few, objective=task.objective)
        found = hessian.lanczos_spectrum(
            operator, w, np.random.default_rng(seed), self.top, self.steps, probes=1
        )
        rest, D = found.rest, task.network.D
        rows = [("spectrum", value, 1.0) for value in found.top]
        rows += [("spectrum", *pair) for pair in zip(rest.nodes, rest.weights, strict=True)]
        grid = np.unique(np.geomspace(1, D, round(PER_OCTAVE * np.log2(D)) + 1).round()).astype(int)
        squares = np.sort(np.square(np.asarray(w, float)))
        left = np.concatenate([[0.0], np.cumsum(squares)])[D - grid]
        rows += [("distance", *pair) for pair in zip(grid, np.sqrt(left), strict=True)]
        shared = {"D": D, "trained_loss": float(evaluate(task, w)[0])}
        yield dict(zip(("part", "x", "y"), zip(*rows, strict=True), strict=True)) | shared


def published():
    """List the cells of the published table."""
    return [CurvatureCell(task=TaskConfig("mnist", "conv2"), seeds=(seed,)) for seed in range(5)]


def least_weights(rows: pd.DataFrame, loss: float) -> float:
    """Solve for the least k at which the ellipsoid of that loss is met; inf if at none, one seed.

    Negative eigenvalues count as flat.
    """
    excess = loss - rows["trained_loss"].iloc[0]
    if excess <= 0:
        return np.inf
    spectrum, distances = (rows[rows["part"] == part] for part in ("spectrum", "distance"))
    values, counts = np.clip(spectrum["x"], 0, None).to_numpy(), spectrum["y"].to_numpy()
    grid, R = distances["x"].to_numpy(), distances["y"].to_numpy()
    free = counts @ (2 * excess / (2 * excess + values[:, None] * R**2))
    enough = grid >= rows["D"].iloc[0] - free
    first = int(enough.argmax())
    if not enough[first] or first == 0:
        return float(grid[0]) if enough[first] else np.inf
    gaps = np.log2(grid) - np.log2(np.maximum(rows["D"].iloc[0] - free, 1e-9))
    part = -gaps[first - 1] / (gaps[first] - gaps[first - 1])
    return float(2 ** (np.log2(grid[first - 1]) + part * np.log2(grid[first] / grid[first - 1])))


def measured_weights(tickets: pd.DataFrame, points: float = 0.01) -> tuple[float, float]:
    """Find where tickets lose so much training accuracy: the number of weights and their loss.

    ``tickets`` are the best values of one seed's tickets, one row for each d. The loss is from the
    largest of them on, interpolated in log2 d.
    """
    runs = tickets.sort_values("d")
    x, accuracy = np.log2(runs["d"].to_numpy(float)), runs["best_train_accuracy"].to_numpy()
    loss, level = runs["best_train_loss"].to_numpy(), accuracy.max() - points
    last = int(np.flatnonzero(accuracy[: accuracy.argmax() + 1] < level)[-1])
    part = (level - accuracy[last]) / (accuracy[last + 1] - accuracy[last])
    k = 2 ** (x[last] + part * (x[last + 1] - x[last]))
    return float(k), float(loss[last] + part * (loss[last + 1] - loss[last]))
