"""The one trainer."""

from dofbook.training.loop import *  # noqa: F403
