"""The methods of the paper's Table 1, a file per row; each builds the subspace it trains in.

| directions | class | t = 0 | t > 0 |
|---|---|---|---|
| axis-aligned, random | `RandomPruning` | random weight pruning | the same at step t |
| axis-aligned, by trained magnitude | `LotteryTicket` | lottery ticket | rewound to step t |
| general, random | `RandomAffine` | random affine subspace | burn-in affine subspace |
| general, from the trajectory | `LotterySubspace` | lottery subspace | lottery subspace at step t |
| all | `FullSpace` | full training | |

`base` says what a method is; `trajectories` and `pruning` are what two of them are made of.
"""

from dofbook.methods.base import Method, label, method_class, methods, read_method
from dofbook.methods.full_space import FullSpace
from dofbook.methods.lottery_subspace import LotterySubspace
from dofbook.methods.lottery_ticket import LotteryTicket
from dofbook.methods.pruning import count_kept
from dofbook.methods.random_affine import RandomAffine
from dofbook.methods.random_pruning import RandomPruning
from dofbook.methods.trajectories import record, spectrum, stored_steps

__all__ = [
    "FullSpace", "LotterySubspace", "LotteryTicket", "Method", "RandomAffine", "RandomPruning",
    "count_kept", "label", "method_class", "methods", "read_method", "record", "spectrum",
    "stored_steps",
]  # fmt: skip
