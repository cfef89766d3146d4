"""Slices, linearization, exact minima, curvature."""

from dofbook.landscape.slices import *  # noqa: F403
