"""The cap on threads.

What belongs here: one context that caps every pool. What does not: how many threads there are to use, which the profile says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def capped(threads: int) -> Iterator[None]:
    """Caps OpenMP and BLAS.

    The pools are loaded first: a cap does not reach a library that is loaded within it (seen: a first training with two threads under a
    cap of one, whose file then differed from the second's).
    """
    import scipy.linalg  # noqa: F401
    import sklearn.ensemble  # noqa: F401

    with threadpool_limits(threads):
        yield
