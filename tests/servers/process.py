"""A server process with a folder and a port of its own, that can be killed and started again over the same data."""

from __future__ import annotations

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.servers.ports import free_port

PASSWORD = "s3cr3t/p@ss:w%rd x"
"""Of the servers' user. Every character in it has broken a URL or a connection string somewhere."""

_START_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1


class ServerMissing(Exception):
    """The server's binaries are not on this machine; the message says how to get them."""


class Server:
    """Base of the servers: a subclass says how to initialise the folder, how to start, and how to ask for a database.

    Args:
        account: the system account that the server runs under when the tests run as root (PostgreSQL and MariaDB refuse root); None for one that may.
    """

    def __init__(self, account: str | None) -> None:
        self.account = account if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix=f"plinth-{type(self).__name__.lower()}-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        if self.account is not None:
            entry = pwd.getpwnam(self.account)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        self.initialise()
        self.start()

    def initialise(self) -> None:
        """Makes the data folder."""
        raise NotImplementedError

    def command(self) -> Sequence[str]:
        """The command line of the server."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether the server takes a connection now."""
        raise NotImplementedError

    def new_database(self, prefix: str = "t") -> str:
        """Makes an empty database and gives its URL."""
        raise NotImplementedError

    def drop_database(self, url: str) -> None:
        """Drops a database made by `new_database`, also when somebody is still connected to it."""
        raise NotImplementedError

    def run(self, *command: str) -> None:
        """Runs a tool of the server under its account; raises with the tool's output when it fails."""
        done = subprocess.run(
            command, cwd=self.folder, user=self.account, group=self.account, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed with {done.returncode}:\n{done.stdout}\n{done.stderr}")

    def start(self) -> None:
        """Starts the server and returns once it answers; RuntimeError with its log when it does not within 60 s."""
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                user=self.account,
                group=self.account,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        limit = time.monotonic() + _START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(
                    "the server did not start:\n" + (self.folder / "server.log").read_text(errors="replace")[-4000:]
                )
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL to the server and all that it started, as a power cut would."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        """Kills the server where it still runs and starts it on the same port and data."""
        self.kill()
        self.start()

    def close(self) -> None:
        """Kills the server and removes its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def new_name(prefix: str) -> str:
    """A database name that no other test uses."""
    return f"{prefix}_{secrets.token_hex(5)}"


def _die_with_parent() -> None:
    # A test run that is killed must not leave servers behind: Linux sends the signal when the parent goes.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
