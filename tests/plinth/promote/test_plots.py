"""Pictures are PNG, and the same figures draw the same bytes."""

from __future__ import annotations

import numpy as np
import pytest

from plinth.promote.measures import reliability
from plinth.promote.plots import gains_plot, qini_plot, reliability_plot, worth_plot
from plinth.promote.qini import true_curve
from plinth.promote.worth import PlanWorth


@pytest.mark.slow
def test_every_picture_is_png_and_follows_from_its_figures() -> None:
    rng = np.random.default_rng(1)
    chance = rng.random(200)
    bought = (rng.random(200) < chance).astype(float)
    worth = PlanWorth(
        *(float(each) for mean in (90, 40, 20, 50, 70) for each in (mean, mean - 9, mean + 9)), 30.0, 400.0
    )
    for draw in (
        lambda: reliability_plot(reliability(chance, bought)),
        lambda: gains_plot({"model": chance}, bought),
        lambda: qini_plot({"model": true_curve(chance, chance)}),
        lambda: worth_plot(10 * chance, chance, worth),
    ):
        body = draw()
        assert body.startswith(b"\x89PNG\r\n\x1a\n")
        assert draw() == body
    other = reliability_plot(reliability(1 - chance, bought))
    assert other != reliability_plot(reliability(chance, bought))
