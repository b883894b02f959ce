"""make: what it needs, and what it says where that is missing."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.api.process import ApiProcess
from tests.api.published import publish
from tests.frame.shop import PROJECT

make = shutil.which("make")
pytestmark = pytest.mark.skipif(make is None, reason="make is not installed: apt-get install make")


def run_make(folder: Path, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs make with the project's Makefile in another folder."""
    shutil.copy(PROJECT / "Makefile", folder / "Makefile")
    environment = {"PATH": path} if path is not None else None
    return subprocess.run([make or "make", *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_make_by_itself_says_what_there_is(tmp_path: Path) -> None:
    done = run_make(tmp_path)
    for target in ("make run", "make ui", "make test", "make check", "make clean"):
        assert target in done.stdout


def test_without_a_fitting_python_make_says_which_ones_fit(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "echo", "touch"):
        (tools / name).symlink_to(shutil.which(name) or name)
    old = tools / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    (tmp_path / "requirements.lock").touch()
    done = run_make(tmp_path, "install", path=str(tools))
    assert done.returncode != 0
    assert "Python 3.11, 3.12 or 3.13" in done.stdout


def test_a_path_with_blanks_reaches_the_command_whole(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for stamp in (".venv/bin/python", "requirements.lock"):
        (tmp_path / stamp).touch()
    (tmp_path / ".venv" / ".core").touch()
    done = run_make(tmp_path, "-n", "run", "DATA=my data/online_retail_ii.parquet")
    assert '--data "my data/online_retail_ii.parquet"' in done.stdout


@pytest.mark.slow
def test_the_command_that_make_writes_starts_the_api_with_several_workers(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    library = tmp_path / ".venv" / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    (library / "suite.pth").write_text(f"{sysconfig.get_path('purelib')}\n{PROJECT}\n")
    written = run_make(tmp_path, ".venv/bin/plinth")
    assert written.returncode == 0, written.stderr
    url = f"sqlite:///{tmp_path / 'online.db'}"
    publish(url)
    # The processes of several workers run the script once more.
    server = ApiProcess(
        tmp_path, url, command=[str(tmp_path / ".venv" / "bin" / "plinth")], workers=2, drain_seconds=0.1
    )
    try:
        server.start()
        assert server.printed().count("API: http://") == 1
        with server.client() as client:
            assert client.get("/v1/customers/1/recommendations").status_code == 200
        assert server.terminate() in (0, -signal.SIGTERM)
    finally:
        server.kill()


def test_no_registry_is_named_in_a_file_that_installs() -> None:
    for file in (
        "Makefile",
        "pyproject.toml",
        "requirements.lock",
        *(f"requirements/{each.name}" for each in (PROJECT / "requirements").glob("*.lock")),
    ):
        text = (PROJECT / file).read_text()
        assert "--index-url" not in text.replace("--no-emit-index-url", "")
        assert "pypi.org" not in text


def test_continuous_integration_runs_make_test() -> None:
    script = (PROJECT / ".ci" / "run").read_text()
    assert script.rstrip().endswith("exec make test")
