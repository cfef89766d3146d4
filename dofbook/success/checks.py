"""Checks of arguments that every module of this package shares."""

from numbers import Real
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from dofbook.errors import InputError

Kind = Literal["loss", "accuracy"]


def check_kind(kind: str) -> None:
    """Refuse a kind other than "loss" and "accuracy".

    Args:
        kind: The kind of level set.

    Raises:
        InputError: If it is another one.
    """
    if kind not in ("loss", "accuracy"):
        raise InputError(f"kind is {kind!r}; allowed: 'loss', 'accuracy'.")


def check_fraction(name: str, value: float) -> float:
    """Require a number strictly between 0 and 1.

    Args:
        name: What the number is, for the message.
        value: The number.

    Returns:
        The number as a float.

    Raises:
        InputError: If it is not inside (0, 1).
    """
    if not isinstance(value, Real) or not 0 < value < 1:
        raise InputError(f"{name} is {value!r}; it must lie strictly between 0 and 1.")
    return float(value)


def check_dims(dims: ArrayLike) -> np.ndarray:
    """Require a strictly increasing grid of positive training dimensions.

    Args:
        dims: Training dimensions d, shape (dims,).

    Returns:
        The grid as float64.

    Raises:
        InputError: If it is empty, not positive, not finite or not strictly increasing.
    """
    grid = np.asarray(dims, dtype=float)
    if grid.ndim != 1 or grid.size == 0 or not np.all(np.isfinite(grid)) or grid[0] <= 0:
        raise InputError("dims must be a non-empty list of positive training dimensions.")
    if np.any(np.diff(grid) <= 0):
        raise InputError("dims must be strictly increasing.")
    return grid


def check_levels(levels: ArrayLike) -> np.ndarray:
    """Require finite levels.

    Args:
        levels: Losses eps or accuracies, a scalar or shape (levels,).

    Returns:
        The levels as float64, shape (levels,).

    Raises:
        InputError: If there is none, or one is not finite.
    """
    array = np.atleast_1d(np.asarray(levels, dtype=float))
    if array.ndim != 1 or array.size == 0 or not np.all(np.isfinite(array)):
        raise InputError("levels must be a number or a non-empty list of finite numbers.")
    return array


def check_values(values: ArrayLike, present: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """Require one value per dimension and run, and at least one run at each dimension.

    Args:
        values: Losses or accuracies, shape (dims, runs); NaN is a diverged run.
        present: Whether the run was made, shape (dims, runs); None for all.

    Returns:
        Values (float64) and present (bool), both (dims, runs).

    Raises:
        InputError: If a shape is wrong or a dimension has no run.
    """
    array = np.asarray(values, dtype=float)
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(
            f"values have shape {array.shape}; it must be (dims, runs) with at least one of each."
        )
    mask = np.ones(array.shape, bool) if present is None else np.asarray(present, dtype=bool)
    if mask.shape != array.shape:
        raise InputError(f"present has shape {mask.shape}, values {array.shape}; they must agree.")
    if not np.all(mask.any(axis=1)):
        raise InputError("every training dimension needs at least one run.")
    return array, mask


def check_counts(
    successes: ArrayLike, runs: ArrayLike, least: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Require counts 0 <= successes <= runs, broadcast against each other from the first axis.

    Args:
        successes: Number of successes, shape (dims, ...) or any shape.
        runs: Number of runs, shape () or (dims,) or the shape of successes.
        least: Smallest number of runs allowed.

    Returns:
        Both as float64, runs with trailing axes of length 1 added where needed.

    Raises:
        InputError: If a count is negative, fractional or larger than the number of runs.
    """
    k = np.asarray(successes, dtype=float)
    n = np.asarray(runs, dtype=float)
    n = n.reshape(n.shape + (1,) * (k.ndim - n.ndim))
    try:
        valid = np.all((k >= 0) & (k <= n) & (k == np.round(k)) & (n == np.round(n)))
    except ValueError:
        raise InputError(
            f"successes have shape {k.shape}, runs {np.shape(runs)}; they must broadcast."
        ) from None
    if not valid or np.any(n < least):
        raise InputError(
            "successes and runs must be whole numbers with 0 <= successes <= runs"
            f" and runs >= {least}."
        )
    return k, n


def as_generator(rng: np.random.Generator | int) -> np.random.Generator:
    """Turn a seed into a generator, or pass a generator on.

    Args:
        rng: A NumPy generator, or a non-negative integer seed.

    Returns:
        The generator.

    Raises:
        InputError: If it is neither (the global state is never used).
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or rng < 0:
        raise InputError(f"rng is {rng!r}; it must be a numpy Generator or a non-negative integer.")
    return np.random.default_rng(rng)
