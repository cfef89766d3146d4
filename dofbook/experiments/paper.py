"""The paper's figures as sweeps, and what the chapters compare."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dofbook import checks
from dofbook.errors import InputError
from dofbook.experiments.config import Cell, CellConfig, SweepConfig
from dofbook.experiments.cuts import CutCell
from dofbook.experiments.options import PROFILES, make_sweep, octaves
from dofbook.experiments.spectra import SpectrumCell
from dofbook.methods import LotterySubspace, LotteryTicket, RandomAffine, RandomPruning
from dofbook.references import call, is_reference
from dofbook.training.config import TaskConfig

# Conv-2 has 10 runs in the paper, Conv-3 five, ResNet20 three; lottery tickets at least five.
_RUNS = {"conv2": 10, "conv3": 5, "resnet20": 3}
_PAIRS = {
    "2": [(d, "conv2") for d in ("mnist", "fashion_mnist", "cifar10", "svhn_cropped")],
    "7": [(d, "conv3") for d in ("mnist", "fashion_mnist", "cifar10")],
    "8": [(d, "resnet20") for d in ("mnist", "fashion_mnist", "cifar10")],
}
_TABLE_1 = {
    "paper": {
        # Dense around 10, where the paper sees a transition on CIFAR-10.
        LotterySubspace: (1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 16, 24, 32, 48, 64),
        # Octaves that overlap those of the random subspaces.
        LotteryTicket: octaves(16384, 8),
        RandomPruning: octaves(16384, 8),
    },
    "reduced": {
        LotterySubspace: (1, 2, 3, 5, 8, 10, 12, 24),
        LotteryTicket: octaves(4096, 64, 4),
        RandomPruning: octaves(4096, 64, 4),
    },
}
OPTIMUM_STEPS = 3 * 469
"""Steps of full training to the paper's w_opt on MNIST and Fashion-MNIST: three epochs."""


def table_1_sweeps(profile: str = "reduced", **options: Any) -> list[SweepConfig]:
    """List sweeps of Table 1's lottery subspaces, lottery tickets and random pruning.

    They start from w0 and from w_16, without the baseline; ``profile`` is "reduced" or "paper",
    ``options`` are those of ``make_sweep``, for all.

    >>> [sweep.methods[0].name for sweep in table_1_sweeps()]
    ['lottery_subspace', 'lottery_ticket', 'random_pruning']
    """
    reduced, sweeps = checks.choice("profile", profile, _TABLE_1) == "reduced", []
    shared = {"burn_in_steps": (0, 16), "baseline": False, "runs": 3 if reduced else 5}
    for kind, dims in _TABLE_1[profile].items():
        own: dict[str, Any] = {"method": kind.name, "dims": dims, **shared, **options}
        if reduced and kind is LotteryTicket and options.get("dataset", "digits") == "digits":
            # Two epochs of the digits are 24 steps; half of the training stands for the two of 3.
            own["pruning_epochs"] = PROFILES[profile]["epochs"] // 2
        sweeps.append(make_sweep(profile, **own))
    return sweeps


def lottery_chapter(profile: str = "reduced", **options: Any) -> dict[str, SweepConfig]:
    """Name the sweeps that the chapter on lottery subspaces and tickets compares.

    To those of ``table_1_sweeps``, whose arguments it takes, it adds the other two bases of lottery
    subspaces, iterative pruning, structured directions up to large d, and the baseline ("affine").

    >>> [*lottery_chapter()][3:5]
    ['centred', 'uncentred']
    """
    table_1 = {sweep.methods[0].name: sweep for sweep in table_1_sweeps(profile, **options)}
    reduced = profile == "reduced"
    few = {"burn_in_steps": (0,), "baseline": False, "runs": 3 if reduced else 5, **options}
    lottery, ticket = table_1[LotterySubspace.name], table_1[LotteryTicket.name]
    wide = octaves(4096, 16, 4) if reduced else octaves(16384, 16)
    compared: dict[str, dict[str, Any]] = {}
    for basis in ("centred", "uncentred"):
        dims = lottery.dims[:6] if reduced else lottery.dims
        compared[basis] = {"method": LotterySubspace.name, "dims": dims, "basis": basis}
    # Every round trains anew for every d: the reduced profile has few of both.
    compared["iterative"] = {
        "method": LotteryTicket.name,
        "dims": ticket.dims[:2] if reduced else ticket.dims,
        "iterations": 3 if reduced else 5,
        "pruning_epochs": getattr(ticket.methods[0], "pruning_epochs"),  # noqa: B009
    }
    for kind in ("hadamard", "fastfood"):
        compared[kind] = {"directions": kind, "dims": wide}
    found = {name: make_sweep(profile, **own, **few) for name, own in compared.items()}
    # Last: a sweep of the phase transition running beside this one has stored it by then.
    affine = make_sweep(profile, **{"burn_in_steps": (0, 16), **options})
    return {**table_1, **found, RandomAffine.name: affine}


def linearization_cells(
    task: TaskConfig, optimum_steps: int, seeds: Sequence[int], dims: Sequence[int],
    exact_dims: Sequence[int] = (), centres: Sequence[int] = (), centre_dims: Sequence[int] = (),
) -> list[CellConfig]:  # fmt: skip
    """List the cells of Fig. 9: the same nested subspaces in a network and in its linearization.

    It is linearized at w_opt, after ``optimum_steps`` of full training, and at further ``centres``
    w_t, in steps, with ``centre_dims``; ``exact_dims`` are those of the exact minima of the
    linearized training loss. Gives one cell for each seed, model and d.

    >>> cells = linearization_cells(TaskConfig(), 480, [0], [8, 16], exact_dims=[8])
    >>> [(cell.task.linearized_at, cell.task.solver, cell.d) for cell in cells][2:]
    [(None, 'descent', 16), (480, 'descent', 16), (480, 'exact', 8)]
    """
    linear = replace(task, linearized_at=optimum_steps)
    exact = replace(linear, solver="exact")
    wanted = [(t, d) for d in dims for t in (task, linear)]
    wanted += [(replace(task, linearized_at=c), d) for c in centres for d in centre_dims]
    wanted += [(exact, d) for d in exact_dims]
    method = RandomAffine(nested=True)
    return [
        CellConfig(task=t, method=method, d=d, seeds=(seed,)) for seed in seeds for t, d in wanted
    ]


def linearization_chapter(
    profile: str = "reduced", steps_per_epoch: int = 12, dataset: str = "digits"
) -> list[CellConfig]:
    """List cells of the chapter on linearization; ``profile`` is "reduced" or "paper".

    >>> len(linearization_chapter())
    81
    """
    if profile == "reduced":  # the exact minima are 0 at d = 181
        return linearization_cells(
            TaskConfig(dataset=dataset, epochs=20), 40 * steps_per_epoch, (0, 1, 2),
            octaves(512, 32), octaves(181, 16, 2**0.5),
            (0, steps_per_epoch, 4 * steps_per_epoch), (128, 256, 512),
        )  # fmt: skip
    return linearization_cells(TaskConfig(dataset=dataset), OPTIMUM_STEPS, range(10), octaves(4096))


def _paper_figures() -> dict[str, dict[str, Any]]:
    """List what the paper's figures are computed from: figure and data set to cells and table."""
    found: dict[str, dict[str, Any]] = {}

    def add(key: str, title: str, cells: list, table: str) -> None:
        found[key] = {"title": title, "cells": cells, "table": f"{table}.parquet"}

    for number, pairs in _PAIRS.items():
        for dataset, network in pairs:
            options = {"dataset": dataset, "network": network, "runs": _RUNS[network]}
            affine = make_sweep("paper", **options)
            lottery = table_1_sweeps("paper", **{**options, "runs": min(5, _RUNS[network])})
            table, where = f"{dataset}_{network}", f"{network} on {dataset}"
            names = {number: [affine], **({"12": [affine]} if number == "2" else {})}
            names |= {"3": [affine, lottery[0]], "6": [affine, *lottery]}
            for name, sweeps in names.items():
                key = f"{name}-{dataset}" if name in _PAIRS else f"{name}-{dataset}-{network}"
                add(key, f"Fig. {name}, {where}", [c for s in sweeps for c in s.cells()], table)
            cells = [SpectrumCell(task=affine.task, seeds=affine.seeds)]
            add(f"10-{dataset}-{network}", f"Figs. 10 and 11, {where}", cells, f"spectra_{table}")
    for dataset in ("mnist", "fashion_mnist"):
        title = f"Fig. 9, conv2 on {dataset}"
        cells = linearization_chapter("paper", dataset=dataset)
        add(f"9-{dataset}", title, cells, "ntk_conv2")
        cut = CutCell(task=TaskConfig(dataset=dataset), optimum_steps=OPTIMUM_STEPS, grid=15)
        add(f"9c-{dataset}", f"{title}, cuts", [cut], "ntk_cuts")
    return found


PAPER_FIGURES = _paper_figures()
"""Figure and data set, such as "2-mnist" or "6-mnist-conv2", to title, cells and table."""


@dataclass(frozen=True)
class PaperFigure:
    """Name a figure of the paper: a key of ``PAPER_FIGURES``, or a number for all its data sets.

    Or name a reader's own list of cells, as "module:function", a function without arguments.

    >>> len(PaperFigure("2-mnist").cells())
    54
    """

    name: str

    def cells(self) -> list[Cell]:
        """List the figure's cells, each once, in the order in which they are best run."""
        if is_reference(self.name):
            found = call(self.name)
            cells = list(found) if isinstance(found, Iterable) else []
            if cells and all(isinstance(cell, Cell) for cell in cells):
                return list(dict.fromkeys(cells))
            raise InputError(f"{self.name} gave {found!r:.80}; it must give a list of Cells.")
        names = [key for key in PAPER_FIGURES if self.name in (key, key.split("-")[0])]
        return list(dict.fromkeys(cell for key in names for cell in PAPER_FIGURES[key]["cells"]))


def paper_figure(figure: str, **options: Any) -> PaperFigure:
    """Choose a figure of the paper by name; of options it takes only ``profile="paper"``.

    >>> paper_figure("9c-mnist").cells()[0].kind
    'cut'
    """
    if extra := sorted(k for k, value in options.items() if (k, value) != ("profile", "paper")):
        raise InputError(
            f"a figure is run at the paper's settings and takes no {', '.join(extra)}; describe "
            "another sweep without figure."
        )
    found = PaperFigure(figure)
    if not found.cells():
        allowed = f"{', '.join(PAPER_FIGURES)}, a number, or module:function"
        raise InputError(f"figure is {figure!r}; allowed: {allowed}.")
    return found
