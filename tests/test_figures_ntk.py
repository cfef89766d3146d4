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
        {"dataset": "digits", "network": "conv2", "method": "affine", "burn_in_steps": 0,
         "variant": variant, "seed": seed, "step": 0, "d": d,
         "best_train_loss": shift * (1 + 0.1 * seed) * 50 / d,
         "best_test_accuracy": d / (200 * shift)}
        for variant, shift in (
            ("", 1), ("linearized at step 480", 4), ("linearized at step 480, exact", 2),
            ("linearized at step 0", 3),
        )
        for seed in range(3)
        for d in DIMS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_each_model_has_its_boundary_its_band_and_its_name(table):
    extra = {"a prediction": (np.array([20, 90]), np.array([4, 1]))}
    figure = ntk.thresholds(table, extra=extra)
    FigureCanvasAgg(figure).draw()
    for ax, metric in zip(figure.axes, ("train_loss", "test_accuracy"), strict=True):
        drawn = {line.get_label(): line.get_ydata() for line in ax.lines if line.get_gid()}
        assert set(ntk.MODELS) <= set(drawn)
        for name in ntk.MODELS:
            rows = table[ntk.model_of(table.variant) == name]
            values = rows.pivot(index="d", columns="seed", values=f"best_{metric}").to_numpy()
            kind = metric.split("_")[1]
            scale = 100 if kind == "accuracy" else 1
            np.testing.assert_allclose(drawn[name], scale * phase_boundary(values, 0.1, kind=kind))
        assert ("a prediction" in drawn) == (metric == "train_loss")
    styles = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(styles) == 4


POINTS = {"w0": (0, 0), "optimum 1": (1, 0), "optimum 2": (0.5, 0.5)}


def cut_rows(dataset, factor=1.0):
    """A cone of losses around the origin, ten times as steep for the linearized network."""
    grid = [("grid", a, b) for b in np.linspace(-1, 1, 4) for a in np.linspace(-1, 2, 5)]
    places = grid + [(place, *point) for place, point in POINTS.items()]
    return pd.DataFrame(
        [
            {"dataset": dataset, "model": model, "place": place, "x": a, "y": b,
             "test_loss": factor * steep * (np.hypot(a, b) + 0.1)}
            for model, steep in (("network", 1), ("linearized", 10))
            for place, a, b in places
        ]
    )  # fmt: skip


def test_cuts_share_the_scale_of_a_data_set_and_mark_the_three_points():
    table = pd.concat([cut_rows("mnist"), cut_rows("fashion_mnist", 100)])
    figure = ntk.cuts(table)
    FigureCanvasAgg(figure).draw()
    panels = [ax for ax in figure.axes if ax.get_title()]
    names = [ax.get_title().split("\n")[0] for ax in panels]
    assert names == ["MNIST"] * 2 + ["Fashion-MNIST"] * 2
    for ax in panels:
        marks = [tuple(line.get_xydata()[0]) for line in ax.lines]
        assert marks == list(POINTS.values())
        assert [text.get_text() for text in ax.texts] == ["$w_0$", "1", "2"]
    scales = [ax.collections[0].get_clim() for ax in panels]
    assert scales[0] == scales[1]
    assert scales[2] == scales[3] == tuple(2 + np.array(scales[0]))


def test_bad_input_is_refused(table):
    cut = cut_rows("digits")
    with pytest.raises(InputError, match="no complete cut"):
        ntk.cuts(cut.drop(index=3))
    with pytest.raises(InputError, match="no complete cut"):
        ntk.cuts(cut[cut.model == "network"])
    with pytest.raises(InputError, match="metrics is empty"):
        ntk.thresholds(table, ())
