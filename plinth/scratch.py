"""Where DuckDB spills what does not fit into its memory: a folder for each database, never a shared one.

DuckDB 1.5 gives the spilled files of all databases the same names, and removes all of them when one database closes. Two processes with one
`temp_directory` read each other's bytes or lose their files ("Could not read enough bytes from file"). So each database gets the path of a
folder of its own, which DuckDB makes when it first spills and removes when it closes; only a killed process leaves one behind, and the next
database that is opened beside it clears it away.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import uuid
from pathlib import Path

_OWN = re.compile(r"duckdb-(?P<host>[^/]+)-(?P<process>\d+)-[0-9a-f]{12}")


def spill_folder(base: str | Path | None = None) -> Path:
    """The path of a new folder below `base` that no other database uses; folders of processes that are gone are removed.

    Args:
        base: made if need be; `plinth` in the system's temporary folder by default.
    """
    home = Path(base) if base is not None else Path(tempfile.gettempdir()) / "plinth"
    home.mkdir(parents=True, exist_ok=True)
    for folder in home.glob("duckdb-*"):
        if _is_orphan(folder.name):
            shutil.rmtree(folder, ignore_errors=True)
    return home / f"duckdb-{_host()}-{os.getpid()}-{uuid.uuid4().hex[:12]}"


def _host() -> str:
    return socket.gethostname().replace("/", "_") or "host"


def _is_orphan(name: str) -> bool:
    """Whether the process that a folder is named after ran on this machine and is gone; of other machines it cannot be told."""
    found = _OWN.fullmatch(name)
    if found is None or found["host"] != _host():
        return False
    try:
        os.kill(int(found["process"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
