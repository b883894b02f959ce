"""DuckDB connections, always limited by a profile.

What belongs here: opening a connection with its limits and extensions. Nothing is downloaded: the extensions are pinned wheels.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from plinth.errors import ConfigurationError
from plinth.objects.stores import known_stores
from plinth.profile import OUTSIDE, Profile, size_in_bytes
from plinth.scratch import spill_folder
from plinth.spark_memory import beside_spark

if TYPE_CHECKING:
    import duckdb

# Of what is left, a fifth is for what DuckDB does not count: the allocator's holes, readers' and writers' buffers. At 10 million lines a process stood
# 83 to 270 MB beyond its own 120 to 255 and the limit of 805, and 126 to 216 beyond a limit of 500.
_DUCKDB_SHARE = 0.8
# Too small a profile is for tests and looks, and holds no such bound; DuckDB has something to work with.
_LEAST_SHARE, _LEAST = 0.25, 48 * 2**20
# The allocator hands back what is freed after so much of it, where its own defaults are 128 and 512 MB: 60 MB less for the view `buyer` in 1 GiB at
# 10 million lines, for no more CPU seconds.
ALLOCATOR = {"allocator_flush_threshold": "16MB", "allocator_bulk_deallocation_flush_threshold": "32MB"}
"""Settings of DuckDB that keep what it holds near what it counts; `dbt_project/profiles.yml` has them too."""
_LOCKS = dict.fromkeys(("httpfs", "aws", "azure"), "requirements/objects.lock")


def connect(
    profile: Profile,
    *,
    extensions: Iterable[str] = (),
    scratch: str | Path | None = None,
    memory: int | None = None,
) -> duckdb.DuckDBPyConnection:
    """Opens an in-memory DuckDB with the profile's memory and threads, UTC, and the given extensions loaded.

    Args:
        profile: memory (bytes) and threads that the connection may use; what does not fit spills to `scratch`.
        extensions: names as DuckDB knows them (`delta`, `postgres_scanner`, `mysql_scanner`, `sqlite_scanner`).
        scratch: folder below which it spills, in a folder of its own; the system's temporary folder by default.
        memory: bytes for DuckDB alone, where it is a guest in a process that another profile is for.
    """
    import duckdb

    con = duckdb.connect(
        config={
            "memory_limit": duckdb_memory(profile) if memory is None else f"{memory}B",
            "threads": profile.threads,
            "temp_directory": str(spill_folder(scratch)),
            "preserve_insertion_order": True,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            **ALLOCATOR,
            # DuckDB checks a signature over the whole file at each LOAD: 0.1 CPU seconds for a scanner, 0.2 for delta, in every process. The
            # files come from wheels whose hashes the installer has held against requirements.lock.
            "allow_unsigned_extensions": True,
        }
    )
    # A progress bar of a query of more than two seconds would stand in what a command prints.
    con.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
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
    """What `duckdb_bytes` gives, as DuckDB's own setting."""
    return f"{duckdb_bytes(profile)}B"


def duckdb_bytes(profile: Profile) -> int:
    """The part of a profile's memory that DuckDB may use, in bytes, so that the whole process keeps within the profile.

    Four fifths of what a step's process leaves (`OUTSIDE`): 563 MiB of 1 GiB, 3,021 of 4 GiB. Below 465 MiB of memory it is a quarter, and such a profile
    may be passed. Beside Spark it is what `plinth.spark_memory` says.
    """
    if profile.engine == "spark":
        return max(beside_spark(profile), _LEAST)
    left = int((profile.memory - OUTSIDE) * _DUCKDB_SHARE)
    return max(left, int(profile.memory * _LEAST_SHARE), _LEAST)


def memory_of(con: duckdb.DuckDBPyConnection) -> int:
    """Bytes that a connection may use."""
    found = con.execute("SELECT current_setting('memory_limit')").fetchone()
    return int(size_in_bytes(found[0])) if found else 0


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


def quote(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text as a quoted SQL literal."""
    return "'" + value.replace("'", "''") + "'"
