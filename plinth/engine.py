"""DuckDB connections, always limited by a profile.

What belongs here: opening a connection with its limits and extensions. Nothing is downloaded: the extensions are pinned wheels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from plinth.errors import ConfigurationError
from plinth.objects.stores import known_stores
from plinth.profile import Profile
from plinth.scratch import spill_folder

if TYPE_CHECKING:
    import duckdb

# Python, the Arrow buffers of a reader and the Parquet writer's row groups live outside DuckDB's own limit.
_DUCKDB_SHARE = 0.75
_LOCKS = dict.fromkeys(("httpfs", "aws", "azure"), "requirements/objects.lock")
# Beside Spark's JVM, which has the larger part of the profile, DuckDB only tests what Spark has made.
_BESIDE_SPARK = 0.2

# From the first quote to the last: a name may have an apostrophe in it, and the first line of a value may not be its last.
_VALUES = r"'.*'|'.*$|(?<![A-Za-z(])-?\d[\d.,:-]*\d|\d{5,}"
_NAMES_ONLY = re.compile(r"\b(Binder|Catalog|Parser) Error\b")
"""Errors of the query itself: what stands in double quotes there are names, in all others it may be a value too."""


def connect(
    profile: Profile, *, extensions: Iterable[str] = (), scratch: str | Path | None = None
) -> duckdb.DuckDBPyConnection:
    """Opens an in-memory DuckDB with the profile's memory and threads, UTC, and the given extensions loaded.

    Args:
        profile: memory (bytes) and threads that the connection may use; what does not fit spills to `scratch`.
        extensions: names as DuckDB knows them (`delta`, `postgres_scanner`, `mysql_scanner`, `sqlite_scanner`).
        scratch: folder below which it spills, in a folder of its own; the system's temporary folder by default.
    """
    import duckdb

    con = duckdb.connect(
        config={
            "memory_limit": duckdb_memory(profile),
            "threads": profile.threads,
            "temp_directory": str(spill_folder(scratch)),
            "preserve_insertion_order": True,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            # DuckDB checks a signature over the whole file at each LOAD: 0.1 CPU seconds for a scanner, 0.2 for delta, in every process. The
            # files come from wheels whose hashes the installer has held against requirements.lock.
            "allow_unsigned_extensions": True,
        }
    )
    con.execute("SET TimeZone = 'UTC'")
    for name in extensions:
        load_extension(con, name)
    reach_stores(con)
    return con


def reach_stores(con: duckdb.DuckDBPyConnection) -> None:
    """Lets a connection read and write the zones that lie in object stores; nothing to do where none does.

    A zone whose variables are not set is left out: whoever opens a table of it is told so, and work in other zones goes on.

    Raises:
        ConfigurationError: an extension is not installed.
    """
    stores = known_stores()
    if not stores:
        return
    from plinth.objects.duckdb_secrets import EXTENSIONS, attach

    for name in sorted({name for store in stores for name in EXTENSIONS[store.scheme]}):
        load_extension(con, name)
    for number, store in enumerate(stores):
        if store.is_told:
            attach(con, store, f"plinth_zone_{number}")


def duckdb_memory(profile: Profile) -> str:
    """The share of a profile's memory that DuckDB may use, as DuckDB's own setting."""
    share = _BESIDE_SPARK if profile.engine == "spark" else _DUCKDB_SHARE
    return f"{int(profile.memory * share)}B"


def load_extension(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Loads a pinned extension straight from its wheel; a second call does nothing.

    `INSTALL` would copy it into the home folder first, which a read-only container does not have.

    Raises:
        ConfigurationError: the wheel of the extension is not installed, or it belongs to another DuckDB version.
    """
    import importlib.util

    import duckdb

    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    locations = spec.submodule_search_locations if spec is not None else None
    file = (
        Path(locations[0]) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension" if locations else None
    )
    if file is None or not file.exists():
        raise ConfigurationError(
            f"the DuckDB extension {name} is not installed",
            expected=f"the wheel duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}",
            found=file or "no such package",
            remedy=f"install {_LOCKS.get(name, 'requirements.lock')} into this environment",
        )
    con.execute(f"LOAD {literal(str(file))}")


def without_values(text: str) -> str:
    """One line of what DuckDB says, with all that may be a row's value left out: a run's history is cleared for less than its tables are."""
    doubled = r'"[^"]*@[^"]*"' if _NAMES_ONLY.search(text) else r'".*"|".*$'
    return re.sub(f"{_VALUES}|{doubled}", "…", text)


def quote(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text as a quoted SQL literal."""
    return "'" + value.replace("'", "''") + "'"
