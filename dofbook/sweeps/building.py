"""From the description of a cell to the affine subspace one of its seeds trains in."""

from dofbook import methods
from dofbook.networks import FlatNetwork
from dofbook.subspaces import AffineSubspace
from dofbook.sweeps.config import CellConfig
from dofbook.training import DeviceData


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
