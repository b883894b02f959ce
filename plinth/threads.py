"""The cap on threads.

What belongs here: one context that caps every pool, and what its threads must not do to the rest of the process. What does not: how many threads
there are to use, which the profile says.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits

_OF_ITSELF = "`sklearn.utils.parallel.delayed` should be used with"


@contextmanager
def capped(threads: int) -> Iterator[None]:
    """Caps OpenMP and BLAS.

    The pools are loaded first: a cap does not reach a library that is loaded within it (seen: a first training with two threads under a
    cap of one, whose file then differed from the second's).
    """
    import scipy.linalg  # noqa: F401
    import sklearn.ensemble  # noqa: F401

    with threadpool_limits(threads), _filters_kept():
        yield


@contextmanager
def _filters_kept() -> Iterator[None]:
    """Leaves the filters of warnings as they were.

    scikit-learn 1.9 hands them to the threads of its binning by emptying and filling those of the process, in all threads at once. Some are lost
    by that, and where none is left each later call warns of itself: 1,922 times in one training on Online Retail II.
    """
    before, shown = list(warnings.filters), warnings.showwarning

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        if not str(message).startswith(_OF_ITSELF):
            shown(message, *where, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = shown
        warnings.filters = before
