"""Networks as functions of one flat weight vector, and those of the paper."""

from dofbook.networks.paper import (
    MLP,
    NAMES,
    BatchNorm,
    Conv,
    ConvNet,
    FlatNetwork,
    LeNet,
    Pooling,
    ResidualBlock,
    ResNet20,
    build,
    flat_network,
    flatten,
)
