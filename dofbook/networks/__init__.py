"""Networks as functions of one flat weight vector, and those of the paper."""

from typing import TYPE_CHECKING, Literal

from dofbook import lazily

if TYPE_CHECKING:
    from dofbook.networks.flat import Layer as Layer, Network as Network, flatten as flatten
    from dofbook.networks.paper import build as build, paper_network as paper_network

Pooling = Literal["max", "average"]
NETWORK_NAMES = ("conv2", "conv3", "resnet20", "mlp", "lenet")
"""The networks of ``build``."""

__getattr__, __dir__ = lazily(__name__, {
    "flat": ("Layer", "Network", "flatten"),
    "paper": ("MLP", "BatchNorm", "Conv", "ConvNet", "LeNet", "ResNet20", "ResidualBlock",
              "build", "paper_network"),
})  # fmt: skip
