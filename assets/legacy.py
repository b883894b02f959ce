"""The legacy tables themselves, as external assets `<source>/<physical table>`: lineage starts where the data does.

What belongs here: their specs. Nothing is ever written to them, so that nothing here can be materialised.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import dagster as dg

from plinth.contracts.model import Contract, Table
from plinth.platform import Platform

_KINDS = {"postgresql": "postgres", "postgres": "postgres", "mariadb": "mariadb", "mysql": "mysql", "sqlite": "sqlite",
          "mssql": "sqlserver", "oracle": "oracle"}  # fmt: skip


def legacy_key(table: Table) -> dg.AssetKey:
    """The asset key of a legacy table: its source, its schema where it has one, and its own name."""
    schema = [table.physical_schema] if table.physical_schema else []
    return dg.AssetKey([table.source, *schema, table.physical_name])


def legacy_specs(contract: Contract, platform: Platform) -> Sequence[dg.AssetSpec]:
    """One external asset for each table of a contract."""
    kind = source_kind(platform, contract.source)
    return [
        dg.AssetSpec(
            legacy_key(table),
            description=f"The legacy table as it stands in the source {contract.source}. {table.description}".strip(),
            group_name=contract.source,
            owners=[table.owner] if table.owner else [],
            kinds={kind, "table"},
            tags={"plinth/source": contract.source},
            metadata={
                "dagster/table_name": _full_name(table),
                "dagster/storage_kind": kind,
                "dagster/column_schema": _columns(table),
            },
        )
        for table in contract.tables
    ]


def source_kind(platform: Platform, name: str) -> str:
    """What kind of database a source is, as far as `platform.yaml` tells: an address in an environment variable is not read for it."""
    url = platform.source(name).url
    return _KINDS.get(urlsplit(url).scheme.partition("+")[0], "sql") if url else "sql"


def _full_name(table: Table) -> str:
    return f"{table.physical_schema}.{table.physical_name}" if table.physical_schema else table.physical_name


def _columns(table: Table) -> dg.TableSchema:
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.physical_name, column.physical_type or column.logical_type or "unknown", column.description
            )
            for column in table.columns
        ]
    )
