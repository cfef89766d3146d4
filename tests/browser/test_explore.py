"""What all explorable figures share, tried with one made here."""

import pytest

from dofbook.errors import InputError
from dofbook.figures import interactive

pytestmark = pytest.mark.browser


def test_a_box_stays_hidden_without_its_script_and_the_static_figure_stands(explore):
    page = explore(interactive("none", {"a": 1}, "fig-static"))
    page.complaints.clear()  # the script that is not there
    assert not page.locator(".explore").is_visible()
    assert page.locator("#fig-static").is_visible()


def test_too_many_data_are_refused():
    with pytest.raises(InputError, match="allowed are 60000"):
        interactive("x", {"a": "b" * 60_000}, "fig-x")
