"""How `pytest -n` shares the tests out: which of them stay in one process, and which are handed out first.

What belongs here is the order and the grouping alone. A test never counts on either: each makes what it needs, and what lives longer than
one test (a server, a parsed project, a trained model) is made by a fixture in whichever process asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

SMALL = "tests/benchmarks/test_small.py"
TOGETHER = {
    "tests/spark/": "tests/spark/",
    f"{SMALL}::test_the_quick_form_ends_with_its_figures_as_json[engines]": "tests/spark/",
    "tests/frame/test_pages.py": "tests/frame/test_whole_way.py",
}
"""What is handed out as one, by the beginning of its tests' names. Spark: its session takes 10 to 30 s to start and its JVM 1.3 GB, and two
of them that fetch their jars into an empty cache at the same time read each other's halves. Pages are looked at where the whole way has been gone, whose run takes 45 s."""

APART = (SMALL,)
"""Files whose tests are handed out one by one: they share nothing, and each takes some of the longest."""

FIRST = (
    "tests/deploy/test_images.py",
    "tests/spark/",
    "tests/kubernetes/test_runs.py",
    SMALL,
    "tests/plinth/transform/test_run.py",
    "tests/frame/test_far_stores.py",
    "tests/frame/test_whole_way.py",
    "tests/frame/test_command.py",
    "tests/plinth/test_fanout.py",
    "tests/api/test_server.py",
    "tests/frame/test_ui.py",
    "tests/frame/test_load.py",
)
"""The longest, longest first: one that began last would leave the other processor with nothing to do until it ends."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Hands the tests out unit by unit, in the order in which they were collected."""
    from xdist.scheduler import LoadFileScheduling

    class Units(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    # By the number of their tests, as xdist would have them, the longest come last: the five of the images take minutes.
    config.option.loadscopereorder = False
    return Units(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest first, where several processes share the tests; alone, a process keeps the order of the files."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank_of(item.nodeid))


def unit_of(nodeid: str) -> str:
    """What a test is handed out with: its file, unless TOGETHER or APART say otherwise."""
    place = _place_of(nodeid)
    return nodeid if place in APART else place


def rank_of(nodeid: str) -> int:
    """Sorts the longest to the front; the others keep their order, for Python's sort is stable."""
    place = _place_of(nodeid)
    return FIRST.index(place) if place in FIRST else len(FIRST)


def _place_of(nodeid: str) -> str:
    return next((unit for start, unit in TOGETHER.items() if nodeid.startswith(start)), nodeid.partition("::")[0])
