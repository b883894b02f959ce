"""Which models a build has to look at: those that no longer follow from their inputs, and all that stand downstream of them.

A published version has passed its tests, so a model that is not due needs neither its SQL nor its tests, and where none is due dbt need not
start at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.stale import stale_tables
from plinth.transform.model import table_id
from plinth.transform.project import PreparedModel, PreparedProject, PreparedTest


def due_models(project: PreparedProject, chosen: Sequence[PreparedModel], lakehouse: Lakehouse) -> Mapping[str, str]:
    """The chosen models that are due, by table and in the order in which they can be made, each with the reason in words."""
    code: dict[TableId, str | None] = {table_id(model.table): model.code for model in chosen}
    stale = {str(table): reason for table, reason in stale_tables(lakehouse, code).items()}
    due: dict[str, str] = {}
    names = {model.table for model in chosen}
    for model in project.models:
        upstream = [table for table in model.inputs if table in due]
        if model.table in names and (model.table in stale or upstream):
            due[model.table] = stale.get(model.table) or f"{', '.join(upstream)} is due"
    return due


@dataclass(frozen=True)
class DueTests:
    """The tests to run, and the names of those that need not: nothing that they read is due, so they come out as they did."""

    run: tuple[PreparedTest, ...]
    held: tuple[str, ...]


def due_tests(
    project: PreparedProject, due: Mapping[str, str], lakehouse: Lakehouse, again: Collection[str] = ()
) -> DueTests:
    """Tells the tests apart; in neither are those that compare with a table which is not there and not made either.

    Args:
        again: names of tests that run also where nothing that they read is due.
    """
    present: dict[str, bool] = {}

    def is_there(table: str) -> bool:
        if table not in present:
            present[table] = table in due or lakehouse.find(table_id(table)) is not None
        return present[table]

    possible = [test for test in project.tests if all(is_there(table) for table in test.reads)]
    to_run = tuple(test for test in possible if test.name in again or any(table in due for table in test.reads))
    return DueTests(to_run, tuple(test.name for test in possible if test not in to_run))
