"""In how many parts the entities of a view are computed, one after the other, so that each fits into the engine's memory.

What belongs here: whether a view can be parted, how far it has to be, and staging its parts together. What does not: the SQL of a part (`query`).

DuckDB spills, but a query holds some rows that it cannot let go: with two threads `customer_item` over 10 million lines ended for want of memory within
614 MiB. A view whose sources are all scoped by one key needs of each source only the rows of the entities at hand, so a part of the entities is computed
from a part of the rows, and gives the same values. Where the rows of others count too (how goods sell in the whole shop), each part would read all of
them again, so such a view is one part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from plinth.features.declare import OWN_COLUMNS, FeatureView
from plinth.features.query import Part
from plinth.features.rows import Inputs
from plinth.lakehouse.schema import DeltaColumn, duckdb_type
from plinth.lakehouse.staging import StagedFile, discard, stage

if TYPE_CHECKING:
    import duckdb

VALUE_BYTES = 32
"""Of a value of a source's rows in all that a query makes of them: at 1 million lines `customer_item`, which reads 8 values of each, held 281 MB."""


def parts_of(inputs: Inputs, memory: int) -> tuple[Part | None, ...]:
    """The parts of a view's entities: together all of them, each in one; None for the whole.

    Their number is what the rows are estimated to take over the bytes of `memory` that DuckDB has.
    """
    key = part_key(inputs.view)
    number = -(-estimated_bytes(inputs) // memory) if key is not None else 1
    if key is None or number < 2:
        return (None,)
    kind = duckdb_type(inputs.view.entity[key].type)
    return tuple(Part(key, kind, place, number) for place in range(number))


def part_key(view: FeatureView) -> str | None:
    """The entity column that all sources are scoped by; None where there is none."""
    return next((key for key in view.keys if all(key in source.scope for source in view.sources.values())), None)


def estimated_bytes(inputs: Inputs) -> int:
    """About what the rows of a view take where nothing is spilled: of each table all rows count, with the values of its widest source."""
    widest: dict[str, int] = {}
    for source in inputs.view.sources.values():
        widest[source.table] = max(widest.get(source.table, 0), len(source.columns) + len(OWN_COLUMNS))
    return sum(version.rows * widest[str(table)] * VALUE_BYTES for table, version in inputs.versions.items())


def stage_parts(
    con: duckdb.DuckDBPyConnection,
    queries: Sequence[str],
    uri: str,
    columns: Sequence[DeltaColumn],
    partition_by: Sequence[str],
) -> tuple[StagedFile, ...]:
    """Stages the rows of all parts, each by its query; where one fails, nothing of the others is left behind.

    Raises:
        StorageFailure, ContractViolation: as `stage`.
    """
    staged: list[StagedFile] = []
    whole = False
    try:
        for query in queries:
            staged += stage(con, query, uri, columns, partition_by)
        whole = True
    finally:
        if not whole:
            discard(staged)
    return tuple(staged)
