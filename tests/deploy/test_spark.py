"""The standalone Spark of the chart and the runs that ask it: one address, the ports that the policies let in, and workers that hold an executor."""

from __future__ import annotations

import re
from pathlib import Path

from plinth.platform import Platform, load_platform
from plinth.spark.session import session_settings
from tests.deploy.rendering import of_kind, rendered
from tests.deploy.test_network import allowed, role
from tests.deploy.test_runs import HOME, config_map, started

CASE = "engines"
MIB, GIB = 2**20, 2**30


def platform_of(folder: Path) -> Platform:
    """The platform of a run; without the folder of jars, which only the image has."""
    file = folder / "platform.yaml"
    file.write_text(config_map(CASE, "plinth-location-plinth")["platform.yaml"], encoding="utf-8")
    platform = load_platform(HOME / "platform.yaml", file)
    assert platform.spark.jars == "/opt/spark-jars"
    return platform.model_copy(update={"spark": platform.spark.model_copy(update={"jars": None})})


def test_a_driver_asks_the_head_and_is_reached_where_the_policies_let_in(tmp_path: Path) -> None:
    platform = platform_of(tmp_path)
    settings = session_settings(platform, platform.declared("spark"))
    host, port = re.fullmatch(r"spark://([a-z-]+):(\d+)", settings["spark.master"]).groups()  # type: ignore[union-attr]
    service = next(each for each in of_kind(rendered(CASE), "Service") if each["metadata"]["name"] == host)
    assert int(port) in [each["port"] for each in service["spec"]["ports"]]
    run, worker = role("run", "plinth"), role("spark-worker")
    assert allowed(CASE, worker, run, int(settings["spark.driver.port"]))
    assert allowed(CASE, worker, run, int(settings["spark.blockManager.port"]))
    assert allowed(CASE, run, worker, int(settings["spark.blockManager.port"]))
    (container,) = started(CASE, "plinth", tmp_path)["spec"]["template"]["spec"]["containers"]
    (own,) = [each for each in container["env"] if each["name"] == "SPARK_LOCAL_HOSTNAME"]
    assert own["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"


def test_a_worker_holds_an_executor_of_the_shipped_profile(tmp_path: Path) -> None:
    platform = platform_of(tmp_path)
    profile = platform.declared("spark")
    settings = session_settings(platform, profile)
    heap = int(settings["spark.executor.memory"].removesuffix("m")) * MIB
    name = "plinth-spark-worker"
    worker = next(each for each in of_kind(rendered(CASE), "Deployment") if each["metadata"]["name"] == name)
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    arguments = dict(each.split("=", 1) for each in container["args"] if "=" in each)
    assert int(arguments["--cores"]) >= int(settings["spark.executor.cores"])
    assert int(arguments["--memory"].removesuffix("g")) * GIB >= heap
    limits = container["resources"]["limits"]
    assert float(limits["cpu"]) >= profile.cpu
    # Spark's own rule for what a JVM holds beside its heap, and half a gigabyte for the worker.
    assert int(limits["memory"].removesuffix("Gi")) * GIB >= heap + max(384 * MIB, heap // 10) + GIB // 2
