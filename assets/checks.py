"""The checks of a bronze table, made from its contract: one step per table, so that they cost one pass.

What belongs here: specs and results. What does not: which checks there are and how they are computed (`plinth.checks`). None is written
by hand. A check whose table, contract and referenced tables have the content that its last result was computed from repeats that result
and names the run that computed it.
"""

# No `from __future__ import annotations` here: Dagster does not resolve the texts that it makes of a step's parameters.
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.metadata import RawMetadataValue
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from assets.bronze import bronze_key, profile_of
from assets.faults import dagster_faults
from assets.profiles import profile_tags
from plinth.checks import Check, Finding, Load, checks_of, evidence, examine
from plinth.contracts.model import Contract, Severity, Table
from plinth.engine import connect
from plinth.ingest import bronze_id
from plinth.ingest.held_back import HELD_BACK
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.platform import Platform
from resources import LakehouseResource

EVIDENCE, _RUN = "evidence", "computed_in_run"
COMPUTED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


def bronze_checks(contract: Contract, platform: Platform) -> Sequence[dg.AssetChecksDefinition]:
    """The checks of each table of a contract."""
    return [_checks(table, platform) for table in contract.tables]


def _checks(table: Table, platform: Platform) -> dg.AssetChecksDefinition:
    checks = {check.name: check for check in checks_of(table)}

    @dg.multi_asset_check(
        name=f"bronze__{table.name}__checks",
        specs=[_spec(table, check) for check in checks.values()],
        can_subset=True,
        description=f"Looks at bronze/{table.name} as its contract asks.",
        op_tags=profile_tags(platform, profile_of(table, platform)),
    )
    def look(context: dg.AssetCheckExecutionContext, lakehouse: LakehouseResource) -> Iterator[dg.AssetCheckResult]:
        wanted = [check for check in checks.values() if _key(table, check) in context.selected_asset_check_keys]
        with dagster_faults(context):
            yield from _results(context, table, wanted, lakehouse.tables())

    return look


def _spec(table: Table, check: Check) -> dg.AssetCheckSpec:
    refers = (
        [bronze_key(check.reference.to_table)] if check.reference and check.reference.to_table != table.name else []
    )
    return dg.AssetCheckSpec(
        check.name,
        asset=bronze_key(table),
        description=check.description,
        blocking=check.severity is Severity.ERROR,
        additional_deps=refers,
        metadata={"kind": check.kind.value, "columns": ", ".join(check.columns) or "the whole table"},
    )


def _key(table: Table, check: Check) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(bronze_key(table), check.name)


def _results(
    context: dg.AssetCheckExecutionContext, table: Table, checks: Sequence[Check], lakehouse: Lakehouse
) -> Iterator[dg.AssetCheckResult]:
    version = lakehouse.open(bronze_id(table), zone=table.zone)
    others = {
        check.reference.to_table: lakehouse.find(TableId("bronze", check.reference.to_table))
        for check in checks
        if check.reference is not None
    }
    proofs = {check.name: evidence(check, version, others) for check in checks}
    known = {
        check.name: _known(context, table, check, proofs[check.name]) for check in checks if check.kind.follows_content
    }
    due = [check for check in checks if known.get(check.name) is None]
    found = {finding.check.name: finding for finding in _examine(context, table, due, version, others)}
    context.log.info(f"{len(due)} of {len(checks)} checks computed on bronze/{table.name} version {version.version}")
    for check in checks:
        earlier = known.get(check.name)
        yield (
            earlier if earlier is not None else _result(context, table, found[check.name], version, proofs[check.name])
        )


def _examine(
    context: dg.AssetCheckExecutionContext,
    table: Table,
    checks: Sequence[Check],
    version: TableVersion,
    others: Mapping[str, TableVersion | None],
) -> list[Finding]:
    load = _last_load(context, table, version)
    if not any(check.kind.reads_rows for check in checks):
        return examine(None, table, checks, version, others=others, load=load)
    platform = context.resources.lakehouse.platform.load()
    profile = platform.profile(profile_of(table, platform))
    con = connect(profile, extensions=("delta",), scratch=platform.path(platform.stores.scratch))
    try:
        return examine(con, table, checks, version, others=others, load=load)
    finally:
        con.close()


def _last_load(context: dg.AssetCheckExecutionContext, table: Table, version: TableVersion) -> Load:
    """What the asset's newest materialisation said; one that left another content behind says nothing of this version."""
    event = context.instance.get_latest_materialization_event(bronze_key(table))
    materialization = event.asset_materialization if event is not None else None
    if event is None or materialization is None:
        return Load()
    said = {name: value.value for name, value in materialization.metadata.items()}
    at = datetime.fromtimestamp(event.timestamp, UTC)
    if said.get("content") != version.content:
        return Load(at)
    rows = said.get("source_rows")
    return Load(at, int(rows) if isinstance(rows, int) else None, version.state.notes.get(HELD_BACK, 0))


def _known(
    context: dg.AssetCheckExecutionContext, table: Table, check: Check, proof: str
) -> dg.AssetCheckResult | None:
    """The last result that was computed from the same content, if it is still known."""
    # The newest record of all is this very run's plan to check; only computed ones count.
    history = context.instance.event_log_storage.get_asset_check_execution_history(
        _key(table, check), limit=1, status=COMPUTED
    )
    result = history[0].evaluation if history else None
    if result is None or EVIDENCE not in result.metadata or result.metadata[EVIDENCE].value != proof:
        return None
    return dg.AssetCheckResult(
        passed=result.passed,
        asset_key=result.asset_key,
        check_name=result.check_name,
        severity=result.severity,
        description=result.description,
        metadata=dict(result.metadata),
    )


def _result(
    context: dg.AssetCheckExecutionContext, table: Table, finding: Finding, version: TableVersion, proof: str
) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.ERROR if finding.check.severity is Severity.ERROR else dg.AssetCheckSeverity.WARN
    metadata: dict[str, RawMetadataValue] = {
        "delta_version": version.version,
        "content": version.content,
        EVIDENCE: proof,
        _RUN: dg.MetadataValue.dagster_run(context.run.run_id),
    }
    if finding.broken is not None:
        metadata["rows_broken"] = finding.broken
    if finding.query is not None:
        metadata["query"] = dg.MetadataValue.md(f"```sql\n{finding.query}\n```")
    return dg.AssetCheckResult(
        passed=finding.passed,
        asset_key=bronze_key(table),
        check_name=finding.check.name,
        severity=severity,
        description=finding.found,
        metadata=metadata,
    )
