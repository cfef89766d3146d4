"""The loss around a point: `slices`, `linearization`, its exact minima `convex`, `hessian`."""

from dofbook import lazily

_NAMES = {"slices": ("line_hits", "plane_through", "slice_metrics")}
__getattr__, __dir__ = lazily(__name__, _NAMES)
