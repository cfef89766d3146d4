"""Success probability, threshold training dimension, their intervals and fits.

Everything works on plain NumPy arrays (`probability`, `threshold`, `isotonic`, `probit`,
`estimates`, `bootstrap`, `inversion`, `hits`) or on the tidy table of runs (`tables`,
`compression`).
"""

from dofbook.success.bootstrap import bootstrap_boundary, bootstrap_thresholds
from dofbook.success.compression import compression_table, nested_best
from dofbook.success.estimates import threshold_dimensions
from dofbook.success.hits import hit_dimensions, hit_interval, interpolated_hits
from dofbook.success.inversion import inverted_interval
from dofbook.success.isotonic import isotonic_curve, isotonic_threshold
from dofbook.success.probability import (
    jeffreys_interval,
    running_maximum,
    success_counts,
    success_probability,
    wilson_interval,
)
from dofbook.success.probit import ProbitFit, fit_probit, probit_threshold, theoretical_width
from dofbook.success.tables import (
    METRICS,
    CurveKey,
    RunValues,
    baseline_accuracy,
    curves,
    run_values,
    success_map,
    threshold_table,
)
from dofbook.success.threshold import (
    Threshold,
    first_threshold,
    phase_boundary,
    required_successes,
    selected_probability,
)

__all__ = [
    "METRICS",
    "CurveKey",
    "ProbitFit",
    "RunValues",
    "Threshold",
    "baseline_accuracy",
    "bootstrap_boundary",
    "bootstrap_thresholds",
    "compression_table",
    "curves",
    "first_threshold",
    "fit_probit",
    "hit_dimensions",
    "hit_interval",
    "interpolated_hits",
    "inverted_interval",
    "isotonic_curve",
    "isotonic_threshold",
    "jeffreys_interval",
    "nested_best",
    "phase_boundary",
    "probit_threshold",
    "required_successes",
    "run_values",
    "running_maximum",
    "selected_probability",
    "success_counts",
    "success_map",
    "success_probability",
    "theoretical_width",
    "threshold_dimensions",
    "threshold_table",
    "wilson_interval",
]
