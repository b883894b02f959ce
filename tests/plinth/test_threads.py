"""Training in threads leaves the rest of the process as it was."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from plinth.threads import capped


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads that take turns a thousand times as often as usual, so that what depends on their turns happens."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("restless")
def test_the_filters_of_warnings_outlive_a_training_in_threads() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = np.random.default_rng(0).random((2000, 60))
    before = list(warnings.filters)
    with capped(2):
        for _ in range(30):
            HistGradientBoostingClassifier(max_iter=1).fit(rows, rows[:, 0] > 0.5)
    assert list(warnings.filters) == before


def test_what_scikit_learn_says_of_its_own_filters_is_not_shown_and_every_other_warning_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: print(message)
        with capped(1):
            warnings.warn(
                "`sklearn.utils.parallel.delayed` should be used with `sklearn.utils.parallel.Parallel`", stacklevel=1
            )
            warnings.warn("something else", stacklevel=1)
    assert capsys.readouterr().out == "something else\n"
