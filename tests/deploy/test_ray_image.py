"""The image with Ray, built and run: a closed container without a network starts a head as the chart does, and a training's tasks go to it.

A gigabyte is fetched and copied the first time, which takes minutes, so this runs only where PLINTH_RAY_IMAGE=1 asks for it.
"""

from __future__ import annotations

import os

import pytest

from tests.deploy import engine
from tests.deploy.rendering import of_kind, rendered

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
SESSION = """
import subprocess
from plinth.fanout import FanOut

subprocess.run({head}, check=True)
print("powers", FanOut(backend="ray", tasks=2, address="127.0.0.1:6379").run(pow, [(2, 3), (3, 2)], threads=1))
"""


@pytest.fixture(scope="module")
def image() -> str:
    """The name of the image."""
    if os.environ.get("PLINTH_RAY_IMAGE") != "1":
        pytest.skip("the image with Ray takes minutes to build: PLINTH_RAY_IMAGE=1 builds it")
    try:
        engine.require_engine()
        engine.make_base()
        return engine.build("platform", "image_ray")
    except engine.EngineMissing as missing:
        pytest.skip(str(missing))


def test_tasks_of_a_training_go_to_a_head_that_is_started_as_the_chart_does(image: str) -> None:
    (head,) = [each for each in of_kind(rendered("engines"), "Deployment") if each["metadata"]["name"] == "plinth-ray-head"]  # fmt: skip
    (container,) = head["spec"]["template"]["spec"]["containers"]
    started = [each for each in container["args"] if each != "--block"]
    done = engine.run(
        image, ["python3", "-c", SESSION.format(head=started)], "--network=none", "--shm-size=256m", timeout=300
    )
    assert "powers [8, 9]" in done.stdout, done.stdout[-2000:] + done.stderr[-4000:]
