"""The loss around a point: `slices`, `linearization`, its exact minima `convex`, `hessian`."""

from dofbook import lazily

__getattr__, __dir__ = lazily(__name__, {"slices": ("line_hits", "plane_through", "slice_metrics")})
