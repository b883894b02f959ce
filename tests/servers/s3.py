"""An S3 server over a folder: Versity's gateway, which checks signatures and holds conditional puts."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.servers.process import Server, ServerMissing, new_name

ACCESS_KEY, SECRET_KEY = "plinth-access", "s3cr3t/key+with=signs"
MISSING = "no S3 server: install Go and run tests/install_servers.sh, which builds versitygw"


class S3Server(Server):
    """An S3 server that asks for signed requests; what was written outlives a kill. The objects are files below `folder/objects`."""

    def __init__(self) -> None:
        self.binary = _binary()
        super().__init__(None)

    def initialise(self) -> None:
        (self.folder / "objects").mkdir()

    def command(self) -> Sequence[str]:
        return [
            self.binary,
            *(
                "--port",
                f"127.0.0.1:{self.port}",
                "--access",
                ACCESS_KEY,
                "--secret",
                SECRET_KEY,
                "--region",
                "us-east-1",
            ),
            *("--quiet", "posix", str(self.folder / "objects")),
        ]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    @property
    def endpoint(self) -> str:
        """The address that clients ask."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which every client may do everything."""
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}

    def new_bucket(self) -> str:
        """Makes an empty bucket and gives its name: to this server a bucket is a folder."""
        name = new_name("b").replace("_", "-")
        (self.folder / "objects" / name).mkdir()
        return name

    def keys(self, bucket: str) -> list[str]:
        """The keys of every object in a bucket, straight from the server's folder."""
        root = self.folder / "objects" / bucket
        return sorted(
            str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and ".sgwtmp" not in path.parts
        )


def _binary() -> str:
    found = shutil.which("versitygw", path=f"{os.environ.get('PATH', '')}:/usr/local/bin:{Path.home() / 'go' / 'bin'}")
    if found is None:
        raise ServerMissing(MISSING)
    return found
