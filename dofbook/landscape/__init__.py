"""The loss around a point: slices, linearization, exact minima, curvature.

- `slices`: planes through weight space; `linearization`: the network to first order
- `convex`: exact minima of linearized networks; `hessian`: curvature by Lanczos
"""

from dofbook.landscape.slices import line_hits, plane_through, slice_metrics

__all__ = ["line_hits", "plane_through", "slice_metrics"]
