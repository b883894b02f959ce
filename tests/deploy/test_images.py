"""The images, built and run: no root, no file system to write to, no network; the main job runs in one, the API answers from the other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from plinth.sample.spec import SampleSpec
from plinth.sample.write import write_sample
from tests.deploy import engine
from tests.servers.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
USER = 10001


@pytest.fixture(scope="module")
def images() -> dict[str, str]:
    """The names of both images. The first build of a machine takes minutes, every other some seconds."""
    try:
        engine.require_engine()
        engine.make_base()
        return {target: engine.build(target) for target in ("platform", "api")}
    except engine.EngineMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """What is mounted: data/ with a small legacy system in it, and the instance's folder; both of the image's user."""
    root = tmp_path_factory.mktemp("mounted")
    data, instance = root / "data", root / "dagster"
    (data / "legacy").mkdir(parents=True)
    instance.mkdir()
    write_sample(f"sqlite:///{data}/legacy/erp.sqlite", SampleSpec(customers=400, days=300, seed=4))
    for path in (root, data, data / "legacy", data / "legacy" / "erp.sqlite", instance):
        os.chown(path, USER, USER)
    yield data, instance
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def ran(images: dict[str, str], folders: tuple[Path, Path]) -> subprocess.CompletedProcess[str]:
    """`plinth run` in the platform's image, closed and without a network."""
    data, instance = folders
    mounts = (f"--volume={data}:/opt/plinth/data", f"--volume={instance}:/opt/dagster")
    return engine.run(images["platform"], ["plinth", "run"], "--network=none", *mounts, timeout=900)


def test_no_image_runs_as_root_or_writes_beside_what_is_mounted(images: dict[str, str]) -> None:
    for name in images.values():
        done = engine.run(
            name, ["sh", "-c", "id -u; id -g; touch /opt/plinth/x /opt/venv/x /etc/x; echo tried"], "--network=none"
        )
        assert done.stdout.split() == [str(USER), str(USER), "tried"]
        assert done.stderr.count("Read-only file system") == 3


def test_the_main_job_runs_closed_and_without_a_network(
    ran: subprocess.CompletedProcess[str], folders: tuple[Path, Path]
) -> None:
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = json.loads((folders[0] / "report.json").read_text(encoding="utf-8"))
    tables = {f"{each['layer']}/{each['table']}" for each in report["tables"]}
    assert {"bronze/customer", "silver/customers", "gold/customer_360"} <= tables
    assert (folders[0] / "online" / "online.db").stat().st_uid == USER


@pytest.mark.usefixtures("ran")
def test_the_api_answers_from_the_slim_image(images: dict[str, str], folders: tuple[Path, Path]) -> None:
    port, name = free_port(), f"plinth-test-api-{os.getpid()}"
    mount = f"--volume={folders[0] / 'online'}:/opt/plinth/data/online"
    made = engine.run(
        images["api"],
        ["plinth", "key", "create", "test", "--scope", "catalogue:read", "--sample"],
        "--network=none",
        mount,
    )
    key = next(word for word in made.stdout.split() if word.startswith("plinth_"))
    command = ["plinth", "serve", "--sample", "--host=127.0.0.1", f"--port={port}"]
    server = subprocess.Popen(
        [*engine.PODMAN, "run", "--rm", f"--name={name}", "--no-healthcheck", "--read-only", "--tmpfs=/tmp", "--cap-drop=all", *engine.LIMITS,
         "--network=host", mount, images["api"], *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    try:
        _wait_until_ready(server, f"http://127.0.0.1:{port}/health/ready")
        answer = httpx.get(f"http://127.0.0.1:{port}/v1/tables", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200
        assert "gold/customer_360" in answer.text or "customer_360" in answer.text
    finally:
        began = time.monotonic()
        engine.podman("stop", "--time=30", name)
        server.wait(60)
    assert time.monotonic() - began < 25, "it ends by itself on SIGTERM, also as the first process of its container"


def _wait_until_ready(server: subprocess.Popen[str], address: str) -> None:
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        assert server.poll() is None, server.stdout.read() if server.stdout else ""
        try:
            if httpx.get(address, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    raise AssertionError("the API was not ready within a minute")


def test_the_slim_image_is_slim(images: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {
        target: int(engine.podman("image", "inspect", "--format={{.Size}}", name).stdout) / 2**20
        for target, name in images.items()
    }
    base = int(engine.podman("image", "inspect", "--format={{.Size}}", engine.BASE).stdout) / 2**20
    with capsys.disabled():
        print(f"\nimages, MiB: base {base:.0f}, " + ", ".join(f"{target} {size:.0f}" for target, size in sizes.items()))
    assert sizes["api"] - base < 200
    assert sizes["api"] < sizes["platform"] / 3
    look = "import importlib.util as u; print([m for m in ('dagster', 'duckdb', 'sklearn', 'pip') if u.find_spec(m)])"
    told = engine.run(images["api"], ["python3", "-c", look], "--network=none")
    assert told.stdout.strip() == "[]", told.stderr
