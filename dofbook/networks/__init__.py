"""Networks as functions of one flat weight vector, and those of the paper."""

from dofbook.networks.flat import Layer, Network, flatten
from dofbook.networks.paper import (
    MLP,
    NAMES,
    BatchNorm,
    Conv,
    ConvNet,
    LeNet,
    Pooling,
    ResidualBlock,
    ResNet20,
    build,
    paper_network,
)

__all__ = [
    "MLP", "NAMES", "BatchNorm", "Conv", "ConvNet", "Layer", "LeNet", "Network", "Pooling",
    "ResNet20", "ResidualBlock", "build", "flatten", "paper_network",
]  # fmt: skip
