"""From the description of a cell to the affine subspace one of its seeds trains in."""

from dofbook import methods
from dofbook.networks import FlatNetwork
from dofbook.optimizers import OptimizerConfig
from dofbook.pruning import retraining_optimizer
from dofbook.subspaces import AffineSubspace
from dofbook.sweeps.config import CellConfig
from dofbook.training import DeviceData


def subspace_optimizer(cell: CellConfig) -> OptimizerConfig:
    """Choose the optimizer of a cell inside its subspace.

    Args:
        cell: The cell.

    Returns:
        The task's optimizer, or that of the released code where its tickets ask for it.
    """
    common = cell.task.optimizer
    return common if cell.pruning is None else retraining_optimizer(cell.pruning, common)


def method_columns(cell: CellConfig) -> dict[str, object]:
    """Tabulate what distinguishes methods of one name.

    Args:
        cell: The cell.

    Returns:
        Column to value; a column the method does not have is left out.
    """
    columns = {"directions": cell.directions}
    if cell.lottery is not None:
        columns["basis"] = cell.lottery.basis
    if cell.pruning is not None:
        columns |= {"iterations": cell.pruning.iterations, "retraining": cell.pruning.schedule}
    return {name: value for name, value in columns.items() if value is not None}


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
    if cell.method == "full":
        return methods.full_space(network, seed)
    extra = cell.task.extra_burn_in_step if cell.burn_in_steps else 0
    return methods.random_affine(
        network,
        data,
        seed,
        cell.d,
        cell.burn_in_steps + extra,
        nested=cell.nested,
        batch_size=cell.task.batch_size,
        optimizer=cell.task.burn_in_optimizer,
    )
