"""Bronze: each contract table as an asset `bronze/<table>`, which brings the Delta table up to the legacy table.

What belongs here: the factory, and what a load reports. What does not: how a table is read or written (`plinth.ingest`), how its columns
look in Dagster (`assets.columns`), and checks (`assets.checks`). A new table is a few lines in a contract, and no code.
"""

# No `from __future__ import annotations` here: Dagster does not resolve the texts that it makes of a step's parameters.
from collections.abc import Sequence
from datetime import timedelta

import dagster as dg
from dagster._core.definitions.metadata import RawMetadataValue

from assets.columns import CLASSIFICATION_TAG, column_lineage, column_schema, highest_classification, tag_key
from assets.faults import dagster_faults
from assets.legacy import legacy_key, source_kind
from assets.profiles import profile_tags
from plinth.contracts.document import read_document
from plinth.contracts.model import Contract, Table
from plinth.ingest import Outcome, bronze_id, ingest
from plinth.ingest.by_spark import asks_for_spark
from plinth.ingest.plan import fingerprint
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from resources import LakehouseResource, SourcesResource

LAYER = "bronze"
_BY_JDBC = ("postgres", "mysql", "mariadb", "sql")
"""The kinds of databases that Spark reads; `sql` is an address in an environment variable, which may be one of them."""


class LoadConfig(dg.Config):
    """How one load is to be done; the default is what schedules and sensors do."""

    full: bool = False
    """Read every row, also where the cursor would allow to read less."""


def bronze_key(table: Table | str) -> dg.AssetKey:
    """The asset key of a contract table's bronze table."""
    return dg.AssetKey([LAYER, table if isinstance(table, str) else table.name])


def profile_of(table: Table, platform: Platform) -> str | None:
    """The profile that a table's load and checks ask for: its own, else its source's; None is the default one."""
    return table.profile or platform.source(table.source).profile


def bronze_assets(contract: Contract, platform: Platform) -> Sequence[dg.AssetsDefinition]:
    """One asset for each table of a contract."""
    document = read_document(contract.path)
    lines = {table.name: document.line(("schema", index)) for index, table in enumerate(contract.tables)}
    return [_asset(table, contract, platform, lines[table.name]) for table in contract.tables]


def _asset(table: Table, contract: Contract, platform: Platform, line: int) -> dg.AssetsDefinition:
    @dg.asset(
        key=bronze_key(table),
        # An input of a given name, as Dagster would make the name from the key, and a legacy name may have blanks and any letters.
        ins={"legacy": dg.AssetIn(legacy_key(table), dagster_type=dg.Nothing)},
        description=_description(table, contract),
        group_name=LAYER,
        owners=[table.owner] if table.owner else [],
        kinds={"deltalake", _engine(table, platform), source_kind(platform, table.source)},
        tags=_tags(table, platform),
        code_version=fingerprint(table),
        freshness_policy=_freshness(table),
        metadata=_metadata(table, contract, platform, line),
        # One writer per table, whatever started it: dagster.yaml gives every pool one slot.
        pool=f"{LAYER}/{table.name}",
        op_tags=profile_tags(platform, profile_of(table, platform)),
    )
    def load(
        context: dg.AssetExecutionContext, config: LoadConfig, lakehouse: LakehouseResource, sources: SourcesResource
    ) -> dg.MaterializeResult[None]:
        with dagster_faults(context), sources.open(table.source) as source:
            outcome = ingest(
                table, source, lakehouse.tables(), run=context.run.run_id, full=config.full, progress=context.log.info
            )
        for line in outcome.drift:
            context.log.warning(f"drift: {line}")
        context.log_event(legacy_observation(table, outcome))
        return dg.MaterializeResult(
            metadata=load_metadata(table, outcome), data_version=dg.DataVersion(outcome.content)
        )

    return load


def _engine(table: Table, platform: Platform) -> str:
    """What reads all of the table, as far as `platform.yaml` tells; each load says what it was, as increments are always DuckDB's."""
    by_spark = asks_for_spark(platform, table) and not platform.spark.connects
    return "spark" if by_spark and source_kind(platform, table.source) in _BY_JDBC else "duckdb"


def _tags(table: Table, platform: Platform) -> dict[str, str]:
    return {
        "plinth/source": table.source,
        "plinth/mode": table.mode.value,
        "plinth/zone": table.zone or platform.layers["bronze"],
        CLASSIFICATION_TAG: highest_classification(table),
        **{tag_key(tag): "" for tag in table.tags},
    }


def _metadata(table: Table, contract: Contract, platform: Platform, line: int) -> dict[str, RawMetadataValue]:
    where = dg.LocalFileCodeReference(file_path=str(contract.path), line_number=line, label=f"contract of {table.name}")
    return {
        "dagster/table_name": f"{LAYER}.{table.name}",
        "dagster/storage_kind": "delta",
        "dagster/uri": Lakehouse(platform).uri_of(bronze_id(table), table.zone),
        "dagster/column_schema": column_schema(table),
        "dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[where]),
        "contract": f"{contract.id} {contract.version}",
    }


def _description(table: Table, contract: Contract) -> str:
    name = f"{table.physical_schema}.{table.physical_name}" if table.physical_schema else table.physical_name
    how = (
        f"each load reads what `{table.cursor}` says has changed"
        if table.cursor and table.mode == "incremental"
        else "each load reads all of it"
    )
    return f"{table.description or table.name}\n\n`{name}` of {contract.name or contract.id} as it stands there; {how}."


def _freshness(table: Table) -> dg.FreshnessPolicy | None:
    if table.freshness is None:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=max(table.freshness, timedelta(minutes=1)))


def legacy_observation(table: Table, outcome: Outcome) -> dg.AssetObservation:
    """What the load saw of the legacy table, for that table's own page."""
    seen: dict[str, RawMetadataValue] = {"read_by": f"{LAYER}/{table.name}"}
    if outcome.source_rows is not None:
        seen["dagster/row_count"] = outcome.source_rows
    if outcome.watermark is not None:
        seen["watermark"] = outcome.watermark
    return dg.AssetObservation(legacy_key(table), metadata=seen)


def load_metadata(table: Table, outcome: Outcome) -> dict[str, RawMetadataValue]:
    """What a load reports; numbers stand as numbers, so that the asset's page plots them over time."""
    metadata: dict[str, RawMetadataValue] = {
        "dagster/row_count": outcome.rows,
        "dagster/column_lineage": column_lineage(table, [column.name for column in outcome.columns]),
        "changed": outcome.changed,
        "mode": outcome.mode,
        "engine": outcome.engine,
        "delta_version": outcome.version,
        "content": outcome.content,
        "rows_read": outcome.rows_read,
        "rows_before": outcome.rows_before,
        "quarantined": sum(outcome.quarantined.values()),
        "bytes": outcome.size,
        "seconds": outcome.seconds,
        "peak_memory_mb": round(outcome.peak_memory / 2**20, 1),
        **{f"note/{name}": count for name, count in outcome.notes.items()},
    }
    counts = {"inserted": outcome.inserted, "updated": outcome.updated, "deleted": outcome.deleted}
    metadata |= {name: count for name, count in counts.items() if count is not None}
    if outcome.source_rows is not None:
        metadata["source_rows"] = outcome.source_rows
    if outcome.watermark is not None:
        metadata["watermark"] = outcome.watermark
    if outcome.engine_reason:
        metadata["engine_reason"] = outcome.engine_reason
    if outcome.drift:
        metadata["drift"] = dg.MetadataValue.md("\n".join(f"- {line}" for line in outcome.drift))
    if outcome.quarantined:
        records = [dg.TableRecord({"rule": rule, "rows": count}) for rule, count in outcome.quarantined.items()]
        metadata["quarantined_by_rule"] = dg.MetadataValue.table(records)
    return metadata
