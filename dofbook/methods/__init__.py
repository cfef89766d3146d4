"""Methods of Table 1."""

from dofbook.methods.table1 import *  # noqa: F403
