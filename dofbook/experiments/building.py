"""From the description of a cell to the affine subspace one of its seeds trains in."""

from dataclasses import fields

import numpy as np

from dofbook import methods
from dofbook.experiments.config import CellConfig
from dofbook.methods.pruning import PruningConfig, count_kept, named_layers, retraining_optimizer
from dofbook.methods.trajectories import LotteryConfig
from dofbook.networks import FlatNetwork
from dofbook.subspaces import AffineSubspace
from dofbook.training import DeviceData
from dofbook.training.optimizers import OptimizerConfig


def subspace_optimizer(cell: CellConfig) -> OptimizerConfig:
    """Choose the optimizer of a cell inside its subspace.

    Args:
        cell: The cell.

    Returns:
        The task's optimizer, or that of the released code where its tickets ask for it.
    """
    common = cell.task.optimizer
    return common if cell.pruning is None else retraining_optimizer(cell.pruning, common)


def variant(cell: CellConfig) -> str:
    """Name what distinguishes cells of one method, "" for its default.

    Args:
        cell: The cell.

    Returns:
        Words for tables and legends, such as "fastfood", "centred" or "iterative, 5".
    """
    words = [cell.directions] if cell.directions else []
    if cell.lottery is not None:
        words = _changes(cell.lottery, LotteryConfig())
    if cell.pruning is not None:
        default = PruningConfig(criterion=cell.pruning.criterion)
        words = _changes(cell.pruning, default)
    return ", ".join(words)


def _changes(config, default) -> list[str]:
    """List the fields that differ from the default: a word stands alone, a number has its name.

    The epochs before pruning are a setting like the epochs in the subspace: a column of their own.
    """
    changed = {
        field.name: getattr(config, field.name)
        for field in fields(config)
        if getattr(config, field.name) != getattr(default, field.name)
        and field.name != "training_epochs"
    }
    return [
        value if isinstance(value, str) else f"{name.replace('_', ' ')} {value}"
        for name, value in changed.items()
    ]


def build_subspace(
    cell: CellConfig, network: FlatNetwork, data: DeviceData, seed: int
) -> AffineSubspace:
    """Build the subspace of one run of a cell.

    Args:
        cell: The cell.
        network: The network of its task.
        data: The data of its task.
        seed: Seed of the run.

    Returns:
        Offset and directions; they depend on the cell and the seed alone.
    """
    task, t = cell.task, cell.burn_in_steps
    if cell.method == "full":
        return methods.full_space(network, seed)
    shared = {
        "network": network,
        "data": data,
        "seed": seed,
        "d": cell.d,
        "burn_in_steps": t + (task.extra_burn_in_step if t else 0),
        "batch_size": task.batch_size,
        "optimizer": task.burn_in_optimizer,
    }
    if cell.method == "lottery_subspace":
        return methods.lottery_subspace(**shared, config=cell.lottery, epochs=task.epochs)
    if cell.method == "lottery_ticket":
        layers = named_layers(task.network, network, data.x_train.shape[1:])
        return methods.lottery_ticket(**shared, config=cell.pruning, layers=layers)
    if cell.method == "random_pruning":
        return methods.random_pruning(**shared)
    kind = cell.directions or "dense"
    return methods.random_affine(**shared, nested=cell.nested, directions=kind)


def run_columns(
    cell: CellConfig, network: FlatNetwork, data: DeviceData, subspace: AffineSubspace
) -> dict[str, object]:
    """Tabulate how one run was pruned and what that did to the layers.

    Args:
        cell: The cell.
        network: The network of its task.
        data: The data of its task.
        subspace: What ``build_subspace`` gave.

    Returns:
        For pruned networks ``collapsed``, the kernels that kept nothing, joined by blanks; for
        lottery tickets also ``pruning_epochs``.
    """
    if cell.pruning is None:
        return {}
    layers = named_layers(cell.task.network, network, data.x_train.shape[1:])
    counts = count_kept(np.asarray(subspace.directions.indices), layers)
    collapsed = " ".join(count.name for count in counts if count.collapsed)
    if cell.method == "lottery_ticket":
        return {"pruning_epochs": cell.pruning.training_epochs, "collapsed": collapsed}
    return {"collapsed": collapsed}
