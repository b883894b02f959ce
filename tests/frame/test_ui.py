"""`plinth ui` as its users start and end it: it shows the newest run, and leaves nothing behind when it is told to end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import yaml

from plinth.report import read_report
from tests.frame.shop import Shop
from tests.servers.ports import free_port
from tests.servers.process import _die_with_parent

pytestmark = pytest.mark.slow
_PATIENCE = 90.0


class UI:
    """A UI that runs, in a process group of its own as a terminal gives it one."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.port = free_port()
        self.log = folder / "ui.log"
        inherited = {key: text for key, text in os.environ.items() if key not in ("DAGSTER_HOME", "PLINTH_PLATFORM")}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).with_name("plinth")), "ui", "--port", str(self.port)],
                cwd=folder,
                env={**inherited, **variables},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def answers(self) -> bool:
        """Whether its web server does."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/server_info", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def environment(self, name: str) -> str | None:
        """A variable of the process that is Dagster."""
        pairs = Path(f"/proc/{self.process.pid}/environ").read_text().split("\0")
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair).get(name)

    def processes(self) -> set[int]:
        """All that it has started and that still runs."""
        return {each for each in descendants(self.process.pid) if runs(each)}


@contextmanager
def opened(folder: Path, **variables: str) -> Iterator[UI]:
    """A UI that answers; what is left of it at the end is killed."""
    ui = UI(folder, **variables)
    seen: set[int] = set()
    try:
        until(ui.answers)
        seen = ui.processes()
        yield ui
    finally:
        for each in {*seen, *ui.processes(), ui.process.pid}:
            if runs(each):
                os.kill(each, signal.SIGKILL)
        ui.process.wait()


@contextmanager
def serving(folder: Path, **variables: str) -> Iterator[None]:
    """An API that runs."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("plinth")), "serve", "--port", str(port)]
    with (folder / "serve.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **variables}, stdout=log, stderr=log, preexec_fn=_die_with_parent
        )
    try:
        until(lambda: f":{port}/v1" in (folder / "serve.log").read_text())
        yield
    finally:
        process.kill()
        process.wait()


def until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + _PATIENCE
    while not holds():
        assert time.monotonic() < limit, "it did not come to pass"
        time.sleep(0.1)


def descendants(pid: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return
    for child in map(int, children):
        yield child
        yield from descendants(child)


def runs(pid: int) -> bool:
    """Whether a process is there and not only waits for its parent to look at its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda ui: os.killpg(ui.process.pid, signal.SIGINT), id="Ctrl-C in a terminal"),
        pytest.param(lambda ui: ui.process.send_signal(signal.SIGTERM), id="SIGTERM by a supervisor"),
    ],
)
def test_it_ends_with_0_and_takes_all_that_it_started_with_it(shop: Shop, end: Callable[[UI], None]) -> None:
    with opened(shop.make_project()) as ui:
        started = ui.processes()
        assert len(started) >= 3, "a web server, a daemon and a code server at least"
        end(ui)
        assert ui.process.wait(_PATIENCE) == 0
        until(lambda: not any(map(runs, started)))
        said = ui.log.read_text()
    assert f"http://127.0.0.1:{ui.port}" in said
    assert "Traceback" not in said, said


def test_ctrl_c_while_it_still_loads_ends_it_without_a_traceback(shop: Shop) -> None:
    ui = UI(shop.make_project())
    until(lambda: "Dagster UI:" in ui.log.read_text())
    time.sleep(0.3)  # Dagster is being imported
    os.killpg(ui.process.pid, signal.SIGINT)
    assert ui.process.wait(_PATIENCE) != 0
    assert "Traceback" not in ui.log.read_text(), ui.log.read_text()


def test_the_commands_of_one_overlay_agree_on_its_instance_and_its_report(shop: Shop) -> None:
    home = shop.make_project()
    settings = {"zones": {"on_prem": {"root": "other/on_prem"}, "cloud": {"root": "other/cloud"}}}
    settings |= {"stores": {"online": "sqlite:///other/online.db"}}
    (home / "elsewhere").mkdir()
    (home / "elsewhere" / "other.yaml").write_text(yaml.safe_dump(settings))
    named = {"PLINTH_PLATFORM": "elsewhere/other.yaml"}  # a path that means something in this folder only

    assert shop.command("plinth", "run").returncode == 0
    own = read_report(home / "report.json")
    unknown = shop.command("plinth", "report", **named)
    assert unknown.returncode == 1 and "no report of this lakehouse yet" in unknown.stderr, unknown.stdout

    ran = shop.command("plinth", "run", **named)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    other = read_report(home / "report.json")
    assert other.instance is not None and other.instance != own.instance
    assert other.roots == {zone: str(home / "other" / zone) for zone in ("on_prem", "cloud")}
    assert "PLINTH_PLATFORM=elsewhere/other.yaml make ui" in ran.stdout

    assert shop.command("plinth", "ingest", "client", **named).returncode == 0
    with dg.DagsterInstance.from_config(other.instance) as instance:
        assert len(instance.get_runs()) == 2, "the run's and the load's"
    shutil.rmtree(home / "data" / "online")  # the project's own store, which its run looked into
    with serving(home, **named):
        assert (home / "other" / "online.db").exists() and not (home / "data" / "online").exists()
    with opened(home, **named) as ui:
        assert ui.environment("DAGSTER_HOME") == other.instance
        assert ui.environment("PLINTH_PLATFORM") == str(home / "elsewhere" / "other.yaml")

    assert shop.command("plinth", "run", "--force").returncode == 0
    again = shop.command("plinth", "report", **named)
    assert again.returncode == 0 and "PLINTH_PLATFORM=elsewhere/other.yaml make ui" in again.stdout
    assert "PLINTH_PLATFORM" not in shop.command("plinth", "report").stdout, "the newest report is the project's own"
