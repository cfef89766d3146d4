"""Several tasks in one network, each in a block of directions of its own."""

from dataclasses import dataclass, replace
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from beyond.inside import measured, point, train_to_end

from dofbook import checks, subspaces
from dofbook.experiments.config import Cell
from dofbook.keys import Role, run_key
from dofbook.subspaces import AffineSubspace, Directions
from dofbook.training import Task, TaskConfig

PIXELS = 100  # keeps the keys of permutations apart from those of directions, which are 0, 1, ...


def permuted(task: Task, seed: int, number: int) -> Task:
    """Permute the pixels of all images, in a way of its own for every seed and number."""
    data, key = task.data, run_key(seed, Role.DIRECTIONS, PIXELS + number)
    order = np.asarray(jax.random.permutation(key, int(np.prod(data.input_shape))))

    def scatter(x):
        return x.reshape(len(x), -1)[:, order].reshape(x.shape)

    data = replace(data, x_train=scatter(data.x_train), x_test=scatter(data.x_test))
    return replace(task, data=data)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Beside:
    """Hold ``directions`` less their part in the span of the orthonormal rows of ``basis`` (m, D).

    >>> plain = subspaces.Dense(jnp.ones((1, 2)))
    >>> Beside(plain, jnp.array([[1.0, 0.0]])).lift(jnp.array([3.0]))
    Array([0., 3.], dtype=float32)
    """

    directions: Directions
    basis: jax.Array

    @property
    def d(self) -> int:
        return self.directions.d

    def lift(self, theta: jax.Array) -> jax.Array:
        return self._off(self.directions.lift(theta))

    def project(self, g: jax.Array) -> jax.Array:
        return self.directions.project(self._off(g))

    def _off(self, v: jax.Array) -> jax.Array:
        return v - (self.basis @ v) @ self.basis


def gradients(task: Task, w: jax.Array, count: int) -> jax.Array:
    """Differentiate at w the logit of the true class of the first training images, (count, D)."""
    x, y = task.arrays.x_train[:count], task.arrays.y_train[:count]

    def logit(w, one, label):
        return task.network.apply(w, one[None])[0, label]

    slope = jax.jit(jax.grad(logit))
    return jnp.stack([slope(w, one, label) for one, label in zip(x, y, strict=True)])


@dataclass(frozen=True, kw_only=True)
class BlocksCell(Cell):
    """Describe the training of ``tasks`` permuted tasks one after another, each in a block of d.

    A block is d Hadamard directions from where the last task ended, orthogonal to the gradients of
    the logits of ``protected`` images of every earlier task (Farajtabar et al. 2020); 0 for none.

    >>> BlocksCell(task=TaskConfig("digits")).tasks
    4
    """

    d: int = 512
    tasks: int = 4
    protected: int = 0

    kind: ClassVar[str] = "beyond.blocks:BlocksCell"

    def validate(self):
        checks.integer_fields(self, 1, "d", "tasks")
        checks.integer_fields(self, 0, "protected")

    def place(self):
        return super().place() | {"d": self.d}

    def parts(self, task, seed):
        """Train: one row per task trained, ``after`` = 1, 2, ..., and task measured, ``on``."""
        w, D, kept = task.initialization(seed), task.network.D, []
        versions = [permuted(task, seed, number) for number in range(self.tasks)]
        for after, now in enumerate(versions, 1):
            key = run_key(seed, Role.DIRECTIONS, after - 1)
            block: Directions = subspaces.hadamard(key, self.d, D)
            if self.protected:
                block = Beside(block, self._basis(kept, D))
            space = AffineSubspace(w, block)
            w = point(space, train_to_end(now, space, seed))
            if self.protected and after < self.tasks:
                kept.append(gradients(now, w, self.protected))
            for on, version in enumerate(versions[:after], 1):
                place = {"after": [after], "on": on}
                about = {"d": self.d, "D": D, "protected": self.protected}
                yield about | place | measured(version, w, "test")

    def _basis(self, kept: list[jax.Array], D: int) -> jax.Array:
        """Make the gradients' orthonormal basis, with rows of zeros up to one size for all."""
        rows = np.concatenate([np.zeros((0, D), np.float32), *kept])
        basis = np.zeros(((self.tasks - 1) * self.protected, D), np.float32)
        basis[: len(rows)] = np.linalg.qr(rows.T)[0].T
        return jnp.asarray(basis)


def published() -> list[Cell]:
    """List the cells behind `results/beyond_blocks.parquet`."""
    task, seeds = TaskConfig("mnist", epochs=1), (0, 1, 2)
    return [BlocksCell(task=task, seeds=seeds, protected=images) for images in (0, 100)]
