"""Directions from the first share of the path of full training: plain sweeps."""

from dofbook.experiments.config import CellConfig
from dofbook.methods import LotterySubspace, RandomAffine
from dofbook.training.config import TaskConfig

SHARES = (0.1, 0.02, 0.05, 0.25, 1.0)
BASES = ("increments", "centred", "uncentred")
SPACING = 5


def first_part(share: float, steps: int, d: int, basis="increments") -> LotterySubspace:
    """Make the lottery subspaces of the first share of a path of so many steps.

    Points are stored every five steps, as the others are, or at every step of a path that would
    otherwise have fewer than d of them.

    >>> first_part(0.1, 1407, d=16)
    LotterySubspace(t=0, basis='increments', spacing=5, trajectory_steps=140, extra_first_step=0)
    """
    if share == 1:
        return LotterySubspace(basis=basis)
    first = int(share * steps)
    spacing = SPACING if first // SPACING >= d else 1
    return LotterySubspace(basis=basis, spacing=spacing, trajectory_steps=first)


def cells(task: TaskConfig, steps: int, d: int, seeds, shares=SHARES, bases=BASES):
    """List one cell for each basis and share, those of the first basis first, and random ones."""
    methods = [first_part(share, steps, d, basis) for basis in bases for share in shares]
    methods.append(RandomAffine())
    return [CellConfig(task=task, method=method, d=d, seeds=tuple(seeds)) for method in methods]


def published():
    """List the cells of the published table: Conv-2 on MNIST, d = 16, three seeds."""
    task = TaskConfig("mnist", "conv2")
    found = cells(task, 3 * 469, 16, range(3))
    return [found[0], found[4], found[-1], *found[1:4], *found[5:-1]]


def gain(runs, steps: int, metric: str = "best_train_accuracy"):
    """Tabulate by share, basis and seed what a share gains over random, of what all of it does.

    ``runs`` are the last rows of the cells above.
    """
    value = runs.set_index(["method", "variant", "seed"])[metric].sort_index()
    random, there = value.loc["affine", ""], set(value.droplevel("seed").index)
    found, d = {}, int(runs["d"].iloc[0])
    for basis in BASES:
        whole = "lottery_subspace", first_part(1, steps, d, basis).variant
        for share in SHARES:
            part = "lottery_subspace", first_part(share, steps, d, basis).variant
            if {whole, part} <= there:
                gained = value.loc[whole] - random
                found[basis, share] = (value.loc[part] - random) / gained
    return found
