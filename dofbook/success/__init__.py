"""Success probability, threshold training dimension, their intervals and fits.

Functions take plain arrays, or the tidy table of runs (`tables`, `compression`, `means`). Arguments
outside their range raise `InputError`. The paper is Larsen et al. (2022).
"""

from dofbook import lazily

__getattr__, __dir__ = lazily(__name__, {
    "bisection": ("Search", "hit_dimensions", "hit_threshold", "quantile_error",
                  "quantile_interval", "threshold_band"),
    "compression": ("compression_table", "nested_best"),
    "means": ("best_values", "equal_dimensions", "mean_best", "paired_gain", "steepest_rise",
              "transition_widths"),
    "probability": ("jeffreys_interval", "running_maximum", "success_counts", "success_fraction",
                    "wilson_interval"),
    "probit": ("probit_threshold", "spread_limit"),
    "summaries": ("compare_hits", "half_width", "success_probability", "threshold"),
    "tables": ("BASELINE", "CurveKey", "METRICS", "RunValues", "baseline_accuracy", "curves",
               "run_values", "success_map", "threshold_table"),
    "thresholds": ("Threshold", "first_threshold", "inverted_interval", "isotonic_threshold",
                   "phase_boundary", "required_successes", "selected_probability",
                   "threshold_dimensions"),
})  # fmt: skip
