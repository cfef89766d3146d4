"""Fig. 9: the curves drawn are the thresholds of the table."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dofbook.errors import InputError
from dofbook.figures import ntk
from dofbook.success import phase_boundary

DIMS = np.array([16, 32, 64, 128])


@pytest.fixture
def table():
    """Losses that fall by half with every octave, later for the linearized models."""
    rows = [
        {"dataset": "digits", "network": "conv2", "method": method, "burn_in_steps": 0,
         "variant": variant, "seed": seed, "step": 0, "d": d,
         "best_train_loss": shift * (1 + 0.1 * seed) * 50 / d,
         "best_test_accuracy": d / (200 * shift)}
        for method, variant, shift in (
            ("affine", "", 1), ("linearized", "", 4), ("linearized_exact", "", 2),
            ("linearized", "around step 0", 3),
        )
        for seed in range(3)
        for d in DIMS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_each_model_has_its_boundary_its_band_and_its_name(table):
    extra = {"a prediction": (np.array([20, 90]), np.array([4, 1]))}
    figure = ntk.thresholds(table, extra=extra, replicates=50)
    FigureCanvasAgg(figure).draw()
    for ax, metric in zip(figure.axes, ("train_loss", "test_accuracy"), strict=True):
        drawn = {line.get_label(): line.get_ydata() for line in ax.lines if line.get_gid()}
        for method, (name, _) in ntk.NAMES.items():
            rows = table[(table.method == method) & (table.variant == "")]
            values = rows.pivot(index="d", columns="seed", values=f"best_{metric}").to_numpy()
            kind = metric.split("_")[1]
            scale = 100 if kind == "accuracy" else 1
            np.testing.assert_allclose(drawn[name], scale * phase_boundary(values, 0.1, kind=kind))
        assert ("a prediction" in drawn) == (metric == "train_loss")
    styles = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(styles) == 4


def test_cuts_share_one_scale_and_mark_the_three_points():
    x, y = np.linspace(-1, 2, 5), np.linspace(-1, 1, 4)
    losses = [np.hypot(*np.meshgrid(x, y)) + 0.1, 10 * np.hypot(*np.meshgrid(x, y)) + 0.1]
    points = np.array([[0, 0], [1, 0], [0.5, 0.5]])
    figure = ntk.cuts(x, y, losses, points)
    FigureCanvasAgg(figure).draw()
    panels = figure.axes[:2]
    for ax in panels:
        marks = [tuple(line.get_xydata()[0]) for line in ax.lines]
        assert marks == [tuple(point) for point in points]
        assert [text.get_text() for text in ax.texts] == ["w0", "1", "2"]
    assert len({ax.collections[0].get_clim() for ax in panels}) == 1


def test_bad_input_is_refused(table):
    with pytest.raises(InputError, match="the grid asks for"):
        ntk.cuts(np.arange(3), np.arange(2), [np.ones((3, 3))], np.zeros((3, 2)), ["a"])
    with pytest.raises(InputError, match="metrics is empty"):
        ntk.thresholds(table, ())
