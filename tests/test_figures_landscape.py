"""The sheet and the target: published data, and lines coloured by what they meet."""

import re

import numpy as np
import pytest

from dofbook.errors import InputError
from dofbook.experiments import read_published
from dofbook.figures.landscape import figure_sheet, sheet_data
from dofbook.figures.style import STYLES


@pytest.fixture(scope="module")
def published():
    return read_published("ntk_cuts")


def test_the_data_are_the_published_cut_mirrored(published):
    data = sheet_data(published, "mnist")
    rows = published.query("dataset == 'mnist' and model == 'network'")
    grid = rows[rows["place"] == "grid"].sort_values(["x", "y"])
    loss = grid["test_loss"].to_numpy().reshape(15, 15)
    np.testing.assert_allclose(data["loss"], np.log10(loss), atol=6e-4)
    np.testing.assert_allclose(data["x"], np.unique(grid["y"]), atol=6e-4)
    np.testing.assert_allclose(data["y"], np.unique(grid["x"]), atol=6e-4)
    for name, place in (("start", "w0"), ("end", "optimum 1"), ("other", "optimum 2")):
        point = rows[rows["place"] == place][["y", "x"]].to_numpy()[0]
        np.testing.assert_allclose(data[name], point, atol=6e-4)


def test_a_cut_that_is_not_complete_is_refused(published):
    for rows in (published[published["place"] != "optimum 2"], published.iloc[1:]):
        with pytest.raises(InputError, match="no complete cut of 'fashion_mnist'"):
            sheet_data(rows, "fashion_mnist")
    with pytest.raises(InputError, match="no complete cut of 'digits'"):
        sheet_data(published, "digits")


def test_lines_that_meet_the_target_are_green_and_the_title_counts_them():
    # The target is y <= 0.1 and the start (0, 1), in a square of half-width 1: a line reaches it
    # inside the square from an angle of arctan 0.9 = 42 degrees on.
    x = [-1.0, 0.0, 1.0]
    data = {"x": x, "y": [0.0, 1.0], "loss": [[-2.0] * 3, [-1.0] * 3]}
    data |= {"start": [0.0, 1.0], "end": [0.0, 0.0], "other": [1.0, 0.0]}
    ax = figure_sheet(data, 10**-1.9, [30, 60, 90, 150]).axes[0]
    green = STYLES[2]["color"]
    assert [line.get_color() == green for line in ax.lines[:4]] == [False, True, True, False]
    share = float(re.search(r"(\d+) % of all directions", ax.get_title())[1])
    assert share == pytest.approx(100 - np.rad2deg(np.arctan(0.9)) / 0.9, abs=1)
