"""The loss around a point: `slices`, `linearization`, its exact minima `convex`, `hessian`."""

from dofbook.landscape.slices import line_hits, plane_through, slice_metrics

__all__ = ["line_hits", "plane_through", "slice_metrics"]
