"""Is Eq. 3.3 an equality for a network? The width of its sublevel set beside the d that hit it.

For a direction g, uniform on the sphere, the largest <g, u>/|u| of points w0 + u of the set is
searched by an augmented Lagrangian; only points whose loss was evaluated and is at most the level
count, so that the width is bounded from below. For a chain of nested random subspaces the first d
is searched at which L-BFGS reaches the level from one of several starts.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from dofbook import checks
from dofbook.experiments.config import Cell
from dofbook.training.config import TaskConfig

TARGET = 0.997
"""Part of the level that is aimed at, so that a point a little beside it is still in the set."""
SCALES = ((0.0, 0.0), (-0.3, 0.0), (0.2, 0.5), (0.0, 1.0))
"""Where the search for the width starts: logarithm of the scale, size of the noise on g."""
BRACKETS = {0.24: (88, 152), 0.5: (64, 128), 1.0: (32, 96)}
"""Between which d the first hit is looked for, by loss: digits, MLP."""
TASK = TaskConfig("digits", "mlp")
CORRECTIONS, STEPS, ROUNDS, MULTIPLIER, PENALTY = 20, 100, 5, 15.0, 30.0
"""Of the search for the width: L-BFGS, and the augmented Lagrangian around it."""


@dataclass(frozen=True, kw_only=True)
class WidthCell(Cell):
    """Measure one direction and one chain: ``draw`` is the number of both, for each w0 (seed).

    >>> WidthCell(task=TaskConfig("digits", "mlp"), level=0.5, bracket=(64, 128)).place()["method"]
    'beyond.width:WidthCell'
    """

    level: float
    bracket: tuple[int, int]
    draw: int = 0
    starts: int = 8
    steps: int = 120

    kind: ClassVar[str] = "beyond.width:WidthCell"

    def validate(self):
        checks.positive("level", self.level)
        checks.integer_fields(self, 0, "draw")
        checks.integer_fields(self, 1, "starts", "steps")

    def work(self):
        plain = super().work()  # an evaluation of loss and gradient is about an epoch
        return replace(plain, epochs=self.steps * self.starts * 4)

    def parts(self, task, seed):
        """Give one row: draw, level, D, cosine, its loss, d_hit.

        One more than the ``bracket``'s first d, or its last, says that d_hit lies there or beyond.
        """
        cosine, loss = largest_cosine(task, seed, self)
        found = {"cosine": cosine, "certified_loss": loss, "d_hit": first_hit(task, seed, self)}
        yield {"draw": [self.draw], "level": self.level, "D": task.network.D, **found}


@lru_cache(maxsize=4)
def programs(task):
    """Compile the log loss of w, its gradient on a chain, and the Lagrangian's gradient."""
    import jax
    import jax.numpy as jnp

    apply, loss, data = task.network.apply, task.objective.loss, task.arrays

    def logs(w):
        return jnp.log(loss(apply(w, data.x_train), data.y_train).mean())

    def on_chain(theta, w0, rows):
        return logs(w0 + theta @ rows)

    def lagrangian(x, w0, g, goal, multiplier, free):
        s = x[-1] if free else jax.lax.stop_gradient(x[-1])
        excess = logs(w0 + jnp.exp(s) * x[:-1]) - goal
        apart = jnp.sum((x[:-1] - g) ** 2) / 2
        return apart + multiplier * excess + PENALTY / 2 * excess**2

    return (
        jax.jit(logs),
        jax.jit(jax.value_and_grad(on_chain)),
        jax.jit(jax.value_and_grad(lagrangian), static_argnames="free"),
    )


def draws(seed, cell, what):
    """Derive the key of a draw of a cell: 0 the direction, 1 the chain, 2 and 3 the starts."""
    from dofbook.keys import Role, run_key

    return run_key(seed, Role.DIRECTIONS, what, cell.draw)


def descend(function, start, steps):
    """Minimise by L-BFGS a function that gives value and gradient in single precision."""
    import jax.numpy as jnp
    from scipy.optimize import minimize

    def both(x):
        value, gradient = function(jnp.asarray(x, jnp.float32))
        return float(value), np.asarray(gradient, float)

    limits = {"maxiter": steps, "maxcor": CORRECTIONS, "ftol": 1e-6}
    return minimize(both, start, jac=True, method="L-BFGS-B", options=limits).x


def largest_cosine(task, seed, cell):
    """Search the largest cosine of g and u over the set {w0 + u}: the cosine and the loss there.

    In u = exp(s) v it is the least |v - g|^2 / 2 with log loss at most log level. The first stage
    keeps s and trains v; then the multiplier is found by the augmented Lagrangian.
    """
    import jax
    import jax.numpy as jnp

    w0, D = task.initialization(seed), task.network.D
    (logs, _, lagrangian), goal = programs(task), np.log(TARGET * cell.level)
    g, best = jax.random.normal(draws(seed, cell, 0), (D,)), (-1.0, np.nan)

    def trained(x, multiplier, free=True):
        return descend(lambda x: lagrangian(x, w0, g, goal, multiplier, free=free), x, STEPS)

    noise = jax.random.normal(draws(seed, cell, 2), (len(SCALES), D))
    for (scale, size), z in zip(SCALES, noise, strict=True):
        x = trained(np.append(np.asarray(g + size * z, float), scale), MULTIPLIER, free=False)
        multiplier = MULTIPLIER
        for _ in range(ROUNDS):
            x = trained(x, multiplier)
            u = jnp.asarray(np.exp(x[-1]) * x[:-1], jnp.float32)
            reached = float(logs(w0 + u))
            if reached <= np.log(cell.level):  # certified
                cosine = float(g @ u / jnp.linalg.norm(g) / jnp.linalg.norm(u))
                best = max(best, (cosine, float(np.exp(reached))))
                if abs(reached - goal) < 1e-3:
                    break
            multiplier = max(multiplier + PENALTY * (reached - goal), 1.0)
    return best


def first_hit(task, seed, cell):
    """Search by bisection the first d of the bracket at which L-BFGS reaches the level."""
    import jax
    import jax.numpy as jnp

    from dofbook import subspaces

    (low, most), w0, goal = cell.bracket, task.initialization(seed), float(np.log(cell.level))
    rows = subspaces.directions("gaussian", draws(seed, cell, 1), most, task.network.D).rows
    program = programs(task)[1]
    radii = np.append(0.0, np.geomspace(1, 32, cell.starts))[: cell.starts]
    noise = np.asarray(jax.random.normal(draws(seed, cell, 3), (cell.starts, most)), float)

    class Reached(Exception):
        pass

    def succeeds(d):
        def function(theta):  # padded, so that one program serves all d
            value, gradient = program(jnp.pad(theta, (0, most - d)), w0, rows)
            if float(value) <= goal:
                raise Reached
            return value, gradient[:d]

        try:
            for radius, z in zip(radii, noise[:, :d], strict=True):
                descend(function, radius * z / np.linalg.norm(z), cell.steps)
        except Reached:
            return True
        return False

    high = most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if succeeds(middle) else (middle, high)
    return float(high)


def wanted(levels=tuple(BRACKETS), number=20, **options):
    """List one cell for each level and draw; the published table has them all."""
    return [
        WidthCell(task=TASK, level=level, bracket=BRACKETS[level], draw=i, **options)
        for level in levels
        for i in range(number)
    ]
