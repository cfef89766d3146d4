"""Networks as functions of one flat weight vector, and those of the paper."""

from typing import TYPE_CHECKING, Literal

from dofbook import lazily

if TYPE_CHECKING:
    from dofbook.networks.flat import Layer, Network, flatten
    from dofbook.networks.paper import (
        MLP,
        BatchNorm,
        Conv,
        ConvNet,
        LeNet,
        ResidualBlock,
        ResNet20,
        build,
        paper_network,
    )

Pooling = Literal["max", "average"]
NAMES = ("conv2", "conv3", "resnet20", "mlp", "lenet")
"""The networks of ``build``."""
__all__ = [
    "MLP", "NAMES", "BatchNorm", "Conv", "ConvNet", "Layer", "LeNet", "Network", "Pooling",
    "ResNet20", "ResidualBlock", "build", "flatten", "paper_network",
]  # fmt: skip

_FLAT = ("Layer", "Network", "flatten")
_PAPER = tuple(name for name in __all__ if name not in (*_FLAT, "NAMES", "Pooling"))
__getattr__, __dir__ = lazily(__name__, {"flat": _FLAT, "paper": _PAPER})
