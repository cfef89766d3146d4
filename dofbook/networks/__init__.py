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
