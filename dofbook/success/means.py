"""Best values of runs, averaged and compared: what prose says of curves without asking for a d*."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from dofbook import checks
from dofbook.errors import InputError
from dofbook.success.checks import check_dims
from dofbook.success.summaries import half_width
from dofbook.success.tables import CurveKey, check_table, curve_runs


def best_values(table: pd.DataFrame, metric: str = "train_accuracy") -> pd.Series:
    """Find the best value of each run, by method, burn_in_steps, variant, d and seed.

    The table holds one data set and network, one configuration a curve; baselines are left out.

    >>> table = pd.DataFrame({"dataset": "digits", "network": "mlp", "method": "affine", "seed": 0,
    ...     "burn_in_steps": 0, "d": 4, "step": [0, 5], "best_train_loss": [2.3, 1.9]})
    >>> best_values(table, "train_loss").tolist()
    [1.9]
    """
    check_table(table, metric)
    for name in ("dataset", "network"):
        if table[name].nunique() > 1:
            raise InputError(f"{name} varies: {', '.join(table[name].unique())}; select one.")
    found = {}
    for key, runs in curve_runs(table, metric):
        values = pd.DataFrame(runs.values, runs.dims, runs.seeds).stack(future_stack=True)
        found[key.name] = values[runs.present.ravel()]
    return pd.concat(found, names=[*CurveKey._fields[2:], "d", "seed"]).rename(f"best_{metric}")


def mean_best(table: pd.DataFrame, metric: str = "train_accuracy") -> pd.Series:
    """Average `best_values` over seeds: by method, burn_in_steps, variant and d.

    >>> table = pd.DataFrame({"dataset": "digits", "network": "mlp", "method": "affine",
    ...     "burn_in_steps": 0, "d": 4, "seed": [0, 1], "step": 5, "best_train_loss": [2.0, 1.0]})
    >>> mean_best(table, "train_loss")["affine", 0, ""].to_dict()
    {4: 1.5}
    """
    return best_values(table, metric).groupby([*CurveKey._fields[2:], "d"]).mean()


def paired_gain(before: pd.Series, after: pd.Series) -> pd.DataFrame:
    """Average over the seeds of both, by d and seed, what `after` is above `before`, by d.

    Columns: seeds, gain, half_width (Student's, 95 %), and points, which says both in hundredths.

    >>> runs = pd.MultiIndex.from_product([[8], [0, 1, 2]], names=["d", "seed"])
    >>> paired_gain(pd.Series(0.5, runs), pd.Series([0.6, 0.7, 0.8], runs)).points.to_dict()
    {8: '+20.0 ± 24.8'}
    """
    first, second = _series("before", before, "d", "seed"), _series("after", after, "d", "seed")
    by_d = (second - first).dropna().groupby("d")
    found = by_d.agg(seeds="size", gain="mean", half_width=half_width)
    ends = 100 * found[["gain", "half_width"]].to_numpy(float)
    return found.assign(points=[f"{x:+z.1f} ± {y:.1f}".replace("-", "−") for x, y in ends])


def equal_dimensions(values: pd.Series, reference: pd.Series) -> pd.Series:
    """Find the d at which a curve that counts up first has the mean values of another.

    Both are means by d. The reference is made monotone and interpolated linearly in log2 d; NaN
    above its largest value, its smallest d below its smallest.

    >>> equal_dimensions(pd.Series({1: 0.6, 2: 0.99}), pd.Series({4: 0.5, 16: 0.7})).to_dict()
    {1: 8.0, 2: nan}
    """
    values, reference = _series("values", values), _series("reference", reference)
    rising = np.maximum.accumulate(reference.to_numpy())
    octaves = np.interp(values, rising, np.log2(reference.index.to_numpy(float)), right=np.nan)
    return pd.Series(2.0**octaves, values.index)


def transition_widths(values: pd.Series) -> pd.Series:
    """Measure at each d how wide the transition is there, in octaves of d.

    `values` are by d and seed, and count up: their standard deviation over seeds is divided by the
    rise of their mean per octave (central differences). Levels are then met in runs whose log2 d
    have about this standard deviation. NaN where the mean does not rise.

    >>> values = pd.Series({(d, s): d / 32 + s / 8 for d in (8, 16, 32) for s in (0, 1)})
    >>> transition_widths(values.rename_axis(["d", "seed"])).round(3).to_dict()
    {8: 0.354, 16: 0.236, 32: 0.177}
    """
    runs = _series("values", values, "d", "seed").groupby("d")
    mean = _series("values", runs.mean(), least=2)
    slope = pd.Series(np.gradient(mean, np.log2(mean.index)), mean.index)
    return runs.std() / slope.where(slope > 0)


class Rise(NamedTuple):
    """Say between which two d a curve rises, and by how much.

    >>> steepest_rise(pd.Series({1: 0.1, 2: 0.3})).gain
    0.2
    """

    start: int
    end: int
    gain: float


def steepest_rise(values: pd.Series) -> Rise:
    """Find the step of the grid at which a curve, means by d, gains most per octave.

    >>> steepest_rise(pd.Series({1: 0.1, 4: 0.3, 8: 0.45}))
    Rise(start=4, end=8, gain=0.15)
    """
    values = _series("values", values, least=2)
    d, means = values.index.to_numpy(), values.to_numpy()
    at = int(np.argmax(np.diff(means) / np.diff(np.log2(d))))
    return Rise(int(d[at]), int(d[at + 1]), round(float(means[at + 1] - means[at]), 12))


def _series(name: str, values: object, *levels: str, least: int = 1) -> pd.Series:
    """Require finite numbers by d, or by the levels named, in ascending order."""
    series = checks.instance(name, values, pd.Series)
    if levels and list(series.index.names) != list(levels):
        raise InputError(f"{name} must be a series by {' and '.join(levels)}.")
    if len(series) < least:
        raise InputError(f"{name} has {len(series)} entries; it needs {least} at least.")
    checks.finite(name, series.to_numpy())
    if not levels:
        check_dims(series.index)
    return series
