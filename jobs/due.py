"""Whether the main job has anything to do, found out without running it.

What belongs here: putting together what the legacy systems, the lakehouse, today's code and the last run say. What does not: a look at a
legacy table (`plinth.look`) and at a made one (`plinth.stale`).
"""

from __future__ import annotations

from typing import cast

import dagster as dg

from plinth.catalogue import load_contracts
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.look import look
from plinth.newest import is_of
from plinth.platform import Layer
from plinth.project import Project
from plinth.report import FAILED, read_report
from plinth.sources import open_source
from plinth.stale import stale_tables

_PUBLICATION = dg.AssetKey(["serving", "online"])


def reasons_to_run(project: Project, repository: dg.RepositoryDefinition) -> list[str]:
    """Why the main job should run, in words; empty where it would find everything as it is.

    Raises:
        SourceUnavailable: a legacy system does not answer.
    """
    last = read_report(project.last_report) if project.last_report.exists() else None
    if last is None or not is_of(last, project):
        return ["it never ran"]
    if last.status == FAILED:
        return ["the last run failed"]
    lakehouse = Lakehouse(project.platform)
    reasons = []
    for contract in load_contracts(project.platform):
        source = open_source(contract.source, project.platform)
        try:
            looks = [look(table, source, lakehouse, may_read=True) for table in contract.tables]
        finally:
            source.close()
        reasons += [f"bronze/{each.table}: {each.reason or each.fault}" for each in looks if each.reason or each.fault]
    return reasons + _downstream_reasons(project, repository, lakehouse)


def _downstream_reasons(project: Project, repository: dg.RepositoryDefinition, lakehouse: Lakehouse) -> list[str]:
    code, models = downstream_code(repository, project), model_code(repository)
    if not models:
        return [f"{table}: {reason}" for table, reason in stale_tables(lakehouse, code).items()]
    from plinth.registry import Registry
    from plinth.serving.due import declared_inputs, model_inputs, publication_due

    registry = Registry.of(project.platform)
    inputs, stale = model_inputs(registry, models)
    inputs |= declared_inputs(project.platform)
    found = {**stale, **{str(table): reason for table, reason in stale_tables(lakehouse, code, inputs).items()}}
    if not found and _PUBLICATION in repository.asset_graph.materializable_asset_keys:
        found = {"serving/online": publication_due(project.platform, lakehouse, registry)}
    return [f"{name}: {reason}" for name, reason in found.items() if reason]


def downstream_code(repository: dg.RepositoryDefinition, project: Project) -> dict[TableId, str | None]:
    """The tables that are made from others, by their assets, with the fingerprint of the code that makes them."""
    layers = set(project.platform.layers) - {"bronze"}
    graph = repository.asset_graph
    return {
        TableId(cast(Layer, key.path[0]), key.path[1]): graph.get(key).code_version
        for key in graph.materializable_asset_keys
        # What is published or withheld belongs to a layer too and is no table: it says so by naming none.
        if len(key.path) == 2 and key.path[0] in layers and "dagster/table_name" in graph.get(key).metadata
    }


def model_code(repository: dg.RepositoryDefinition) -> dict[str, str | None]:
    """The models by their assets, with the fingerprint of the code that trains them."""
    graph = repository.asset_graph
    return {
        key.path[1]: graph.get(key).code_version for key in graph.materializable_asset_keys if key.path[0] == "models"
    }
