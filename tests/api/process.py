"""The API as its users start it: `plinth serve` in a project's folder, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.frame.shop import PROJECT
from tests.servers.ports import free_port
from tests.servers.process import _die_with_parent

_START_SECONDS = 60.0


class ApiProcess:
    """One server over one store.

    Args:
        folder: becomes the project's folder.
        url: the online store.
        command: what starts `plinth`.
        settings: of the section `api`.
    """

    def __init__(
        self, folder: Path, url: str, *, command: Sequence[str] = (sys.executable, "-m", "plinth.cli"), **settings: Any
    ) -> None:
        self.folder = folder
        self.command = command
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        (folder / "platform.yaml").write_text(yaml.safe_dump(platform_values(url, settings)), encoding="utf-8")
        self.process: subprocess.Popen[bytes] | None = None
        self.key = ""

    def start(self, *, ready: bool = True) -> None:
        """Starts it, and returns once it answers: ready, or at all."""
        with (self.folder / "out.log").open("wb") as out, (self.folder / "err.log").open("ab") as err:
            self.process = subprocess.Popen(
                [*self.command, "serve", "--port", str(self.port)],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1", "PLINTH_PLATFORM": ""},
                stdout=out,
                stderr=err,
                preexec_fn=_die_with_parent,
            )
        limit = time.monotonic() + _START_SECONDS
        while not self._answers("/health/ready" if ready else "/health/live"):
            if self.process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError("the API did not start:\n" + self.printed())
            time.sleep(0.05)
        found = re.search(r"plinth_[0-9a-f]{16}_[\w-]{43}", self.printed())
        self.key = found.group(0) if found else self.key

    def client(self, **options: Any) -> httpx.Client:
        """A client with the key for trying."""
        return httpx.Client(base_url=self.base, headers={"Authorization": f"Bearer {self.key}"}, timeout=20, **options)

    def raw(self, sent: bytes, *, seconds: float = 5) -> bytes:
        """Sends bytes as they are, and gives all that comes back until the server closes or is silent for so long."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(sent)
            received = b""
            try:
                while part := connection.recv(65536):
                    received += part
            except (TimeoutError, ConnectionResetError):
                pass
            return received

    def printed(self) -> str:
        """All that it has written so far."""
        return "".join((self.folder / name).read_text(errors="replace") for name in ("out.log", "err.log"))

    def terminate(self) -> int:
        """SIGTERM, and its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _answers(self, path: str) -> bool:
        try:
            return httpx.get(self.base + path, timeout=2).status_code == 200
        except httpx.TransportError:
            return False


def platform_values(url: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The values of `platform.yaml` for a project that only serves."""
    online = {"online_env": "PLINTH_TEST_ONLINE"} if not url.startswith("sqlite") else {"online": url}
    os.environ["PLINTH_TEST_ONLINE"] = url
    return {
        "zones": {"here": {"root": "data", "clearance": ["public", "internal", "confidential", "restricted"]}},
        "layers": {"bronze": "here", "silver": "here", "gold": "here", "ops": "here"},
        "stores": online,
        "profiles": {"small": {"cpu": 1, "memory": "256MiB"}},
        "default_profile": "small",
        "api": settings,
    }
