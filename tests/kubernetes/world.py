"""The shop's project on a cluster: the real definitions, the real launcher and executor, and a few assets that fail as a test wants them to."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.remote_representation.external import RemoteRepository
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from tests.frame.shop import PROJECT, Shop
from tests.kubernetes.cluster import Cluster, Object
from tests.kubernetes.server import ApiServer

MIB = 2**20
LOG = logging.getLogger("tests.kubernetes")
TRIALS = '''
import os, time
from pathlib import Path
import dagster as dg
from assets.faults import dagster_faults
from assets.profiles import profile_tags
from plinth.errors import SourceUnreadable
from plinth.platform import load_platform

_platform = load_platform(Path(__file__).with_name("platform.yaml"))
_marks = Path(__file__).with_name("marks")


def _mark(name):
    """One line for each attempt."""
    _marks.mkdir(exist_ok=True)
    with (_marks / name).open("a") as file:
        file.write(os.environ.get("PLINTH_PROFILE", "none") + "\\n")
    return len((_marks / name).read_text().splitlines())


@dg.asset(key=["trial", "hungry"], op_tags=profile_tags(_platform, "medium"))
def hungry(context: dg.AssetExecutionContext) -> None:
    with dagster_faults(context):
        _mark("hungry")
        held = bytearray(os.urandom(1024)) * (700 * 1024)
        time.sleep(1)
        context.log.info(f"held {len(held)}")


@dg.asset(key=["trial", "wrong"], op_tags=profile_tags(_platform, "medium"))
def wrong(context: dg.AssetExecutionContext) -> None:
    with dagster_faults(context):
        _mark("wrong")
        raise SourceUnreadable("the legacy table is a picture", expected="rows", found="pixels")


@dg.asset(key=["trial", "crash"], op_tags=profile_tags(_platform, "medium"))
def crash(context: dg.AssetExecutionContext) -> None:
    _mark("crash")
    os._exit(3)


@dg.asset(key=["trial", "quiet"], op_tags=profile_tags(_platform, "medium"))
def quiet(context: dg.AssetExecutionContext) -> None:
    _mark("quiet")
    os._exit(0)


@dg.asset(key=["trial", "slow"], op_tags=profile_tags(_platform, "medium"))
def slow(context: dg.AssetExecutionContext) -> None:
    with dagster_faults(context):
        if _mark("slow") == 1:
            time.sleep(120)


@dg.asset(key=["trial", "deaf"], op_tags=profile_tags(_platform, "medium"))
def deaf(context: dg.AssetExecutionContext) -> None:
    import signal
    with dagster_faults(context):
        if _mark("deaf") == 1:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            time.sleep(120)


@dg.asset(key=["trial", "placeless"], op_tags=profile_tags(_platform, "placeless"))
def placeless(context: dg.AssetExecutionContext) -> None:
    _mark("placeless")


@dg.asset(key=["trial", "weekly"], op_tags=profile_tags(_platform, "medium"), partitions_def=dg.StaticPartitionsDefinition(["a", "b"]),
          backfill_policy=dg.BackfillPolicy.single_run())
def weekly(context: dg.AssetExecutionContext) -> None:
    _mark("weekly")


@dg.asset(key=["trial", "tiny"], op_tags=profile_tags(_platform))
def tiny(context: dg.AssetExecutionContext) -> None:
    _mark("tiny")
    if (_marks / "kill_tiny").exists():
        (_marks / "kill_tiny").unlink()
        os.kill(os.getpid(), 9)


trials = [hungry, wrong, crash, quiet, slow, deaf, placeless, weekly, tiny]
'''
"""A module beside a copy of the project's `definitions.py`."""


@dataclass
class World:
    """A project of its own on a cluster of its own."""

    shop: Shop
    cluster: Cluster
    server: ApiServer
    instance: dg.DagsterInstance
    process: WorkspaceProcessContext

    @property
    def repository(self) -> RemoteRepository:
        """The project's definitions as webserver and daemon see them."""
        (entry,) = self.process.create_request_context().get_code_location_entries().values()
        assert entry.code_location is not None, entry.load_error
        return next(iter(entry.code_location.get_repositories().values()))

    def launch(self, *assets: str, job: str = "__ASSET_JOB", tags: Mapping[str, str] | None = None) -> str:
        """Launches a run of some assets, as the UI does, and gives its id."""
        from dagster_graphql.test.utils import execute_dagster_graphql, infer_job_selector

        context = self.process.create_request_context()
        (location,) = context.get_code_location_entries()
        wanted = [{"path": name.split("/")} for name in assets]
        selector = infer_job_selector(context, job, asset_selection=wanted, location_name=location)
        mutation = (
            "mutation($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) { __typename "
            "... on LaunchRunSuccess { run { runId } } ... on PythonError { message } ... on RunConfigValidationInvalid { errors { message } } } }"
        )
        told = [{"key": key, "value": value} for key, value in (tags or {}).items()]
        asked = {"selector": selector, "mode": "default", "executionMetadata": {"tags": told}}
        answer = execute_dagster_graphql(context, mutation, {"p": asked}).data["launchPipelineExecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        run_id: str = answer["run"]["runId"]
        return run_id

    def wait(self, run: str, seconds: float = 120.0) -> dg.DagsterRun:
        """The run once it is over."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.instance.get_run_by_id(run)
            assert found is not None
            if found.is_finished:
                return found
            time.sleep(0.2)
        raise AssertionError(f"run {run} is not over after {seconds} s\n{self.story(run)}")

    def monitor(self) -> None:
        """One round of the daemon's monitoring."""
        errors = [error for error in execute_run_monitoring_iteration(self.process, LOG) if error]
        assert not errors

    def monitor_until_over(self, run: str) -> None:
        """Rounds of it until the run is over."""
        self.cluster.wait(lambda: self.monitor() or self.instance.get_run_by_id(run).is_finished)  # type: ignore[union-attr]

    def pods(self, step: str | None = None) -> list[Object]:
        """Every pod as it was made, in order: those of a step, or those of runs."""
        labels = [(each, each["metadata"]["labels"]) for each in self.cluster.history]
        if step is None:
            return [pod for pod, of in labels if of["app.kubernetes.io/component"] == "run_worker"]
        return [pod for pod, of in labels if of.get("dagster/op") == step]

    def marks(self, name: str) -> list[str]:
        """The profile that each attempt at a trial's asset ran with."""
        file = self.shop.folder / "marks" / name
        return file.read_text().split() if file.exists() else []

    def story(self, run: str) -> str:
        """The events of a run and what its pods printed, for a test that fails."""
        events = []
        for each in self.instance.all_logs(run):
            event = each.dagster_event
            error = getattr(event.event_specific_data, "error", None) if event else None
            events.append(f"{each.user_message} {event.message if event else ''} {error or ''}")
        pods = [each["metadata"]["name"] for each in self.cluster.history]
        logs = [f"--- {name}\n{self.server.kubelet.log_of(name)[-1500:]}" for name in pods]
        return "\n".join([*events, *logs])


def profiles() -> dict[str, Any]:
    """Sizes that a test can fill within a second."""
    return {
        "small": {"cpu": 1, "memory": "512MiB", "threads": 1, "scratch": "1GiB", "next": "medium"},
        "medium": {"cpu": 1, "memory": "600MiB", "threads": 1, "scratch": "1GiB", "next": "large"},
        "large": {"cpu": 2, "memory": "2GiB", "threads": 2, "scratch": "1GiB"},
        "placeless": {"cpu": 1, "memory": "512MiB", "threads": 1, "node_selector": {"accelerator": "gpu"}},
    }


def make_project(shop: Shop) -> None:
    """Makes the shop's folder a project whose steps are pods."""
    shop.make_project()
    file = shop.folder / "platform.yaml"
    values = yaml.safe_load(file.read_text())
    values["profiles"] = profiles()
    settings = {
        "pending_seconds": 3,
        "look_seconds": 1,
        "silent_seconds": 2,
        "step_seconds": 300,
        "env_secrets": ["shop"],
        "service_account": "plinth-steps",
    }
    values["execution"] = {"executor": "kubernetes", "kubernetes": {**settings, "in_run": ["small"]}}
    values["sources"]["shop"]["profile"] = "medium"
    file.write_text(yaml.safe_dump(values))
    (shop.folder / "trials.py").write_text(TRIALS)
    with (shop.folder / "definitions.py").open("a") as definitions:
        definitions.write(
            "\nfrom trials import trials\n\ndefs = dg.Definitions.merge(defs, dg.Definitions(assets=trials))\n"
        )


def instance_settings(shop: Shop, kubeconfig: Path) -> str:
    """The instance file of a cluster, with what differs in a test: SQLite, a kubeconfig, short waits and a folder for a home."""
    values = yaml.safe_load((PROJECT / "deploy" / "dagster-kubernetes.yaml").read_text())
    del values["storage"]
    values["run_coordinator"] = {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"}
    del values["concurrency"]["runs"]
    values["run_launcher"]["config"] |= {
        "load_incluster_config": False, "kubeconfig_file": str(kubeconfig), "job_namespace": "plinth", "service_account_name": "plinth-runs",
        "instance_config_map": "dagster-instance", "job_image": "plinth:test", "dagster_home": str(shop.folder / "home"), "env_vars": [],
    }  # fmt: skip
    values["run_monitoring"] |= {"start_timeout_seconds": 5, "poll_interval_seconds": 1}
    return yaml.safe_dump(values)


def environment() -> dict[str, str]:
    """What an image has: a path with this environment's commands, and the project's packages."""
    kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "TMPDIR", "TZ")}
    here = str(Path(sys.executable).parent)
    return {**kept, "PATH": f"{here}:{os.environ['PATH']}", "PYTHONPATH": str(PROJECT), "DAGSTER_STEP_DELEGATING_EXECUTOR_SLEEP_SECONDS": "0.2",
            "OMP_NUM_THREADS": "1"}  # fmt: skip


def workspace(shop: Shop) -> Sequence[WorkspaceFileTarget]:
    """The project's own workspace file."""
    return WorkspaceFileTarget([str(shop.folder / "workspace.yaml")])  # type: ignore[return-value]
