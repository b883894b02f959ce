"""The dbt project in its prepared form: what everybody needs to know of models and tests, without dbt.

dbt takes seconds to start and to parse, so that is done once for each state of the project's files, into a folder named by their
checksum. Equal files are never parsed again, and processes that are at it at the same time do not meet.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from plinth.errors import ConfigurationError

PREPARED = "plinth.json"
_READ = (".sql", ".yml", ".yaml")
_OLD_SECONDS = 24 * 3600


@dataclass(frozen=True)
class PreparedColumn:
    """A column as the project's YAML describes it; `type` is a Delta type.

    `required` and `unique` say whether a blocking test holds that no value is missing, or that none repeats.
    """

    name: str
    type: str
    description: str
    classification: str
    pseudonymised: str | None = None
    required: bool = False
    unique: bool = False


@dataclass(frozen=True)
class PreparedModel:
    """A model: the table that it makes, the tables that it reads (as `<layer>/<name>`), and the fingerprint of its code.

    `profile` is the size that its `meta` asks for. `lineage` has for each column the (table, column) pairs that its values are made from;
    None where it cannot be told.
    """

    name: str
    table: str
    description: str
    columns: tuple[PreparedColumn, ...]
    key: tuple[str, ...]
    inputs: tuple[str, ...]
    code: str
    strategy: str
    owner: str | None
    profile: str | None
    tags: tuple[str, ...]
    path: str
    lineage: Mapping[str, tuple[tuple[str, str], ...]] | None


@dataclass(frozen=True)
class PreparedTest:
    """A test: the table that it is attached to, the tables that it reads, and whether a failure holds them back."""

    name: str
    table: str
    description: str
    blocking: bool
    reads: tuple[str, ...]


@dataclass(frozen=True)
class PreparedProject:
    """Models in the order in which they can be made, and their tests; `parsed` is the folder with dbt's own parsed form."""

    folder: Path
    parsed: Path
    models: tuple[PreparedModel, ...]
    tests: tuple[PreparedTest, ...]


def prepare(folder: Path) -> PreparedProject:
    """The project in its prepared form, parsed now if its files have changed since it was last.

    Raises:
        ConfigurationError: dbt cannot parse the project; the message is dbt's.
    """
    folder = folder.resolve()
    parsed = folder / "target" / f"plinth-{_checksum(folder)}"
    if not (parsed / PREPARED).is_file():
        _parse(folder, parsed)
    return _read(folder, parsed)


def _checksum(folder: Path) -> str:
    """Covers the project's files, and what makes the prepared form of them: dbt, sqlglot and this package."""
    digest = hashlib.sha256()
    for package in ("dbt-core", "dbt-duckdb", "sqlglot"):
        digest.update(f"{package} {version(package)}\0".encode())
    own = (folder / "target", folder / "logs")
    project = (path for path in sorted(folder.rglob("*")) if not any(path.is_relative_to(skipped) for skipped in own))
    here = Path(__file__).parent
    for path in (*project, *sorted(here.glob("*.py")), here.parent / "lineage.py"):
        if path.suffix in (*_READ, ".py") and path.is_file():
            name = path.relative_to(folder) if path.is_relative_to(folder) else path.name
            digest.update(str(name).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _parse(folder: Path, parsed: Path) -> None:
    draft = parsed.with_name(f".{parsed.name}-{os.getpid()}")
    home = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "plinth.transform.parse", str(folder), str(draft)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(draft, ignore_errors=True)
        raise ConfigurationError(
            "the dbt project cannot be used as it stands",
            found=(done.stderr or done.stdout).strip(),
            where=folder,
            remedy="mend what is named above",
        )
    try:
        draft.rename(parsed)
    except OSError:
        # Another process was first with the same files, so its folder holds the same.
        shutil.rmtree(draft, ignore_errors=True)
    for other in parsed.parent.glob("plinth-*"):
        if other != parsed and time.time() - other.stat().st_mtime > _OLD_SECONDS:
            shutil.rmtree(other, ignore_errors=True)


def _read(folder: Path, parsed: Path) -> PreparedProject:
    values = json.loads((parsed / PREPARED).read_text(encoding="utf-8"))
    models = tuple(
        PreparedModel(
            **{
                **entry,
                "columns": tuple(PreparedColumn(**column) for column in entry["columns"]),
                "lineage": _lineage(entry["lineage"]),
                **{name: tuple(entry[name]) for name in ("key", "inputs", "tags")},
            }
        )
        for entry in values["models"]
    )
    tests = tuple(PreparedTest(**{**entry, "reads": tuple(entry["reads"])}) for entry in values["tests"])
    return PreparedProject(folder, parsed, models, tests)


def _lineage(kept: dict[str, list[list[str]]] | None) -> dict[str, tuple[tuple[str, str], ...]] | None:
    if kept is None:
        return None
    return {name: tuple((table, column) for table, column in found) for name, found in kept.items()}
