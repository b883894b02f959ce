"""Parquet files that DuckDB writes below a table's folder, before any commit names them.

A staged file is invisible until the door commits it; one that is never committed is an orphan, which maintenance removes. Settings
measured on 5 million order lines of 15 columns from PostgreSQL, client's CPU seconds: groups of 122,880 rows with DuckDB's own
dictionaries 3.8, of 61,440 rows 2.9; zstd level 1 costs no more than lz4 and takes half. Parquet's second version packs the differences of
numbers and texts: of 10 million such lines 188 MB stay of 409, written with 5.3 CPU seconds instead of 6.5, and read with a tenth to two
fifths fewer. Tables with floating-point columns keep the first version, see `_parquet_version`.

Each thread writes files of its own: where they share one that ends at a size, each end is waited for by all, and 10 million lines in 66 files
take 3.5 s and 6.8 CPU seconds instead of 2.8 and 5.3. A range of keys lies in as many files as there are threads either way, since threads
that share a file take turns in it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from plinth.engine import literal, quote
from plinth.errors import ContractViolation, StorageFailure
from plinth.lakehouse.schema import DeltaColumn
from plinth.objects.faults import storage_fault
from plinth.objects.files import files_below, remove
from plinth.objects.stores import is_object

if TYPE_CHECKING:
    import duckdb

SPLIT = "split"
"""What the folders of partitions are called by: `split=<hash of the values>`."""
ROW_GROUP_ROWS = 61_440
# A column with more values than this in a group is written plain. Who reads gains much by dictionaries: DuckDB works on each value once, so
# that silver/invoice_lines over 10 million lines takes 11 CPU seconds from files with those of item and text, and 24 from files without.
# A dictionary that is begun and dropped costs little up to here, and a tenth of the whole write at twice as many.
DICTIONARY_VALUES = 8_192
# A merge rewrites whole files, so a file is a small share of its table; but many small files make the log long, and a scan slow.
_FILES_A_TABLE = 128
_SMALLEST_FILE, _LARGEST_FILE = 2 * 2**20, 128 * 2**20
_LONGEST_TEXT = 64
_FOUR_DIGITS = re.compile(r"\d{4}-\d\d-\d\d(?!.*BC)")
_EXACT_FLOAT_DIGITS = 15


@dataclass(frozen=True)
class ColumnFacts:
    """What the Parquet footer says of one column of one file; minimum and maximum as DuckDB prints them."""

    nulls: int | None
    minimum: str | None
    maximum: str | None


@dataclass(frozen=True)
class StagedFile:
    """One Parquet file, written but not committed. `path` is relative to the table's folder."""

    path: str
    uri: str
    size: int
    rows: int
    partition: Mapping[str, str | None]
    facts: Mapping[str, ColumnFacts]
    stats: str


def file_bytes(table_bytes: int) -> int:
    """The size at which a file of a table of that many bytes is full: a 128th of the table, at least 2 MiB, at most 128 MiB."""
    return min(max(table_bytes // _FILES_A_TABLE, _SMALLEST_FILE), _LARGEST_FILE)


def stage(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    uri: str,
    columns: Sequence[DeltaColumn],
    partition_by: Sequence[str] = (),
    *,
    table_bytes: int = 0,
    one_file: bool = False,
    read_once: bool = False,
) -> tuple[StagedFile, ...]:
    """Writes what a query yields as Parquet below a table's folder; files without rows are left out, and what fits into one file is one.

    Args:
        con: the connection that runs the query; its limits bound the memory.
        sql: a query that yields exactly `columns`, in any order of rows.
        uri: the table's folder.
        partition_by: columns by whose values the rows are split into files.
        table_bytes: about how large the table is or will be, which decides the size of its files.
        one_file: whether the rows become one file whatever their size, in their order; for rows that come from one. Not for partitions.
        read_once: whether hardly anybody will read the rows, so that dictionaries, which pay at the second reading, are not tried.

    Raises:
        StorageFailure: the folder cannot be written (disk full, no permission); what was written is removed again.
        ContractViolation: a partition column holds an empty text, which Delta cannot tell from null.
    """
    names = ", ".join(quote(column.name) for column in columns)
    batch = uuid.uuid4().hex
    _make_folder(uri)
    target, query = uri, f"SELECT {names} FROM ({sql})"
    if partition_by:
        query, options = _split(sql, names, partition_by, batch)
    elif one_file:
        target, options = f"{uri}/part-{batch}.parquet", ""
    else:
        options = f", PER_THREAD_OUTPUT, FILE_SIZE_BYTES {file_bytes(table_bytes)}{_named(batch)}"
    command = (
        f"COPY ({query}) TO {literal(target)} (FORMAT parquet, PARQUET_VERSION {_parquet_version(columns)}, COMPRESSION zstd, "
        f"COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {ROW_GROUP_ROWS}, DICTIONARY_SIZE_LIMIT {1 if read_once else DICTIONARY_VALUES}, RETURN_STATS{options})"
    )
    rows = _copy(con, command, uri, batch)
    remove(row[0] for row in rows if row[1] == 0)
    staged = tuple(_staged(uri, row, columns, partition_by) for row in rows if row[1] > 0)
    if partition_by or len(staged) < 2 or sum(file.size for file in staged) > file_bytes(table_bytes) / 2:
        return staged
    # Of few rows each thread has made a file; together they are much less than one. (Half, as rows that are not written yet count
    # towards a file's size: one thread ended a file of 200,000 rows before its size was there, and folding that cost more than the file.)
    addresses = ", ".join(literal(file.uri) for file in staged)
    try:
        return stage(
            con, f"SELECT * FROM read_parquet([{addresses}])", uri, columns, one_file=True, read_once=read_once
        )
    finally:
        discard(staged)


def _parquet_version(columns: Sequence[DeltaColumn]) -> str:
    """V1 where a column is floating-point: DuckDB's second version splits their bytes (BYTE_STREAM_SPLIT), which Spark's vectorised reader
    refuses ("Unsupported encoding", 4.2.0), and DuckDB has no setting for a single encoding."""
    return "V1" if any("double" in column.type or "float" in column.type for column in columns) else "V2"


def discard(files: Iterable[StagedFile]) -> None:
    """Removes staged files of which no commit was tried. Never call it after a commit call: a failed one may have landed."""
    remove(file.uri for file in files)


def _make_folder(uri: str) -> None:
    if is_object(uri):
        return
    try:
        os.makedirs(uri, exist_ok=True)
    except OSError as error:
        raise _storage_failure(uri, error) from error


def _split(sql: str, names: str, partition_by: Sequence[str], batch: str) -> tuple[str, str]:
    # The folder is named by a hash, not by the values: DuckDB, delta-rs and the Delta kernel each percent-encode the values of
    # hive-style folders in their own way, and a space or a slash in a value then makes the file unreadable (tried).
    values = ", ".join(f"coalesce({quote(name)}::VARCHAR, '\\0')" for name in partition_by)
    query = f"SELECT {names}, md5(concat_ws(chr(31), {values}))[:12] AS {SPLIT} FROM ({sql})"
    return query, f", PARTITION_BY ({SPLIT}){_named(batch)}"


def _named(batch: str) -> str:
    return f", FILENAME_PATTERN 'part-{batch}-{{uuidv7}}', APPEND"


def _copy(con: duckdb.DuckDBPyConnection, command: str, uri: str, batch: str) -> list[Any]:
    import duckdb

    try:
        return con.execute(command).fetchall()
    except (duckdb.Error, OSError) as error:
        _remove_batch(uri, batch)
        if is_object(uri) and isinstance(error, (duckdb.IOException, duckdb.HTTPException)) and "://" in str(error):
            raise storage_fault(error, uri, "the table could not be written; it is as it was") from error
        if isinstance(error, (duckdb.IOException, OSError)) and _is_storage(str(error), uri):
            raise _storage_failure(uri, error) from error
        raise


def _is_storage(message: str, uri: str) -> bool:
    signs = ("No space left", "Disk quota", "Permission denied", "Read-only file system", "File too large")
    return any(sign in message for sign in signs) or (uri in message and "write" in message.lower())


def _storage_failure(uri: str, error: Exception) -> StorageFailure:
    return StorageFailure(
        "the table's folder could not be written; the table is as it was",
        found=str(error).splitlines()[0],
        where=uri,
        remedy="free or enlarge the disk, or mend its permissions, and run again; nothing needs to be cleaned up",
    )


def _remove_batch(uri: str, batch: str) -> None:
    # A store that is away keeps what was written until maintenance finds it; the fault that ended the write is the one to tell.
    with contextlib.suppress(StorageFailure):
        remove([file for file in files_below(uri) if file.rpartition("/")[2].startswith(f"part-{batch}")])


def _staged(uri: str, row: Any, columns: Sequence[DeltaColumn], partition_by: Sequence[str]) -> StagedFile:
    filename, count, size, _, statistics, _ = row
    facts = {column.name: _facts(statistics.get(quote(column.name), {})) for column in columns}
    path = filename[len(uri) :].lstrip("/")
    partition = {name: _partition_value(name, facts[name], count, uri) for name in partition_by}
    for column in columns:
        if column.type == "boolean" and partition.get(column.name) is not None:
            # DuckDB's statistics have numbers there, which Delta's readers do not parse.
            partition[column.name] = "true" if partition[column.name] in ("1", "true") else "false"
    return StagedFile(path, filename, size, count, partition, facts, _delta_stats(count, facts, columns, partition_by))


def _facts(statistics: Mapping[str, str]) -> ColumnFacts:
    nulls = statistics.get("null_count")
    return ColumnFacts(int(nulls) if nulls is not None else None, statistics.get("min"), statistics.get("max"))


def _partition_value(name: str, facts: ColumnFacts, count: int, uri: str) -> str | None:
    if facts.nulls == count:
        return None
    if facts.minimum is None or facts.minimum != facts.maximum:
        raise ContractViolation(
            f"the column {name} cannot partition a table",
            expected="values of at most 64 characters, of a whole number, text, boolean, date or time stamp",
            found=f"{facts.minimum!r} to {facts.maximum!r} in one partition",
            where=uri,
            remedy="partition by another column",
        )
    if facts.minimum == "":
        raise ContractViolation(
            f"the partition column {name} holds an empty text",
            expected="a text or null: Delta reads an empty partition value as null",
            where=uri,
            remedy="partition by another column, or add a rule that sends such rows to quarantine",
        )
    return facts.minimum


def refuse_unreadable_partitions(files: Sequence[StagedFile], columns: Sequence[DeltaColumn]) -> None:
    """Refuses times of partitions that Delta's readers cannot parse: after a commit with one nobody opens the table again (tried).

    Raises:
        ContractViolation: a partition is of a year before 1 or after 9999.
    """
    times = [column.name for column in columns if column.type in ("date", "timestamp", "timestamp_ntz")]
    for file in files:
        for name in times:
            value = file.partition.get(name)
            if value is not None and not _FOUR_DIGITS.match(value):
                raise ContractViolation(
                    f"the partition column {name} holds a time outside of the years 1 to 9999",
                    expected="a year that Delta can write as the value of a partition",
                    where=file.uri,
                    remedy="partition by another column, or add a rule that sends such rows to quarantine",
                )


def _delta_stats(
    count: int, facts: Mapping[str, ColumnFacts], columns: Sequence[DeltaColumn], partition_by: Sequence[str]
) -> str:
    lowest, highest, nulls = {}, {}, {}
    for column in columns:
        fact = facts[column.name]
        if column.name in partition_by:
            continue
        if fact.nulls is not None:
            nulls[column.name] = fact.nulls
        low, high = _json_value(column.type, fact.minimum), _json_value(column.type, fact.maximum)
        if low is not None and high is not None:
            lowest[column.name], highest[column.name] = low, high
    return json.dumps({"numRecords": count, "minValues": lowest, "maxValues": highest, "nullCount": nulls})


def _json_value(delta: str, text: str | None) -> Any:
    """A statistic as the Delta log wants it, or None where it would not be exact: no statistic prunes nothing, a wrong one loses rows."""
    if text is None:
        return None
    if delta in ("long", "integer", "short", "byte"):
        return int(text)
    if delta in ("double", "float"):
        value = float(text)
        return value if math.isfinite(value) else None
    if delta.startswith("decimal"):
        digits = len(text.replace("-", "").replace(".", "").lstrip("0"))
        return float(Decimal(text)) if digits <= _EXACT_FLOAT_DIGITS else None
    if delta == "string":
        return text if len(text) <= _LONGEST_TEXT else None
    if delta == "date":
        return text if len(text) == len("2020-01-01") else None
    if delta in ("timestamp", "timestamp_ntz"):
        return _timestamp(text, zoned=delta == "timestamp")
    return None


def _timestamp(text: str, *, zoned: bool) -> str | None:
    # "2020-01-01 10:00:00.123" or with "+00"; years beyond 9999, BC and infinity have no form in the log.
    plain = text.removesuffix("+00")
    if len(plain) < 19 or plain[4] != "-" or plain[10] != " ":
        return None
    return plain.replace(" ", "T", 1) + ("Z" if zoned else "")
