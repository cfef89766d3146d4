"""The loss around a point: slices, linearization, exact minima, curvature."""
