"""Success probability, threshold training dimension, their intervals and fits.

Functions take plain arrays (`threshold`, `success_probability` and what lies below them) or the
tidy table of runs (`tables`, `compression`). Arguments outside their range raise `InputError`. The
paper is Larsen et al. (2022).
"""
# ruff: noqa: F401 - names given on

from dofbook.success.bisection import (
    Search,
    hit_dimensions,
    interpolated_hits,
    quantile_error,
    quantile_interval,
    threshold_band,
)
from dofbook.success.compression import compression_table, nested_best
from dofbook.success.estimates import threshold_dimensions
from dofbook.success.means import (
    best_values,
    equal_dimensions,
    mean_best,
    paired_gain,
    steepest_rise,
    transition_widths,
)
from dofbook.success.probability import (
    jeffreys_interval,
    running_maximum,
    success_counts,
    success_fraction,
    wilson_interval,
)
from dofbook.success.probit import probit_threshold
from dofbook.success.summaries import compare_hits, half_width, success_probability, threshold
from dofbook.success.tables import (
    BASELINE,
    METRICS,
    CurveKey,
    RunValues,
    baseline_accuracy,
    curves,
    run_values,
    success_map,
    threshold_table,
)
from dofbook.success.thresholds import (
    Threshold,
    first_threshold,
    inverted_interval,
    isotonic_threshold,
    phase_boundary,
    required_successes,
    selected_probability,
)
