"""How sensitive a view's columns are by what is declared, before any table is there.

What belongs here: the columns that contracts and the dbt project declare for the tables that views read, and what follows from them for the views.
What does not: how a classification descends (`guard`), which is the same for a run. A run goes by the columns that the tables have; these differ from
the declared ones only until what is declared has been loaded or built, and where a bronze table holds a column that no contract names.

No table is opened, and the SQL is read only of views over bronze or over something more sensitive than internal: of all others every column is
internal, whatever it is made from. That spares the load of the retailer's definitions sqlglot, and 0.2 of its 1.1 CPU seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plinth.catalogue import declared_classifications
from plinth.features.declare import FeatureView, FeatureViews
from plinth.features.guard import Columns, Lineage, classified, lineage_of
from plinth.features.query import columns_of
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import TableId
from plinth.platform import Platform
from plinth.transform.model import table_id
from plinth.transform.project import prepare

_PROJECT = "dbt_project"
_MODELLED = ("silver", "gold")
_PLAIN = frozenset(("public", "internal"))
_UNREVIEWED = "restricted"
"""What a column counts as that landed in bronze without a contract (`plinth.contracts.drift`)."""


@dataclass(frozen=True)
class DeclaredTables:
    """The columns of the tables that some views read, of those tables that are declared anywhere."""

    columns: Mapping[TableId, tuple[DeltaColumn, ...]]

    @classmethod
    def read(cls, platform: Platform, views: FeatureViews) -> DeclaredTables:
        """Of contracts and dbt project, as far as any view reads their layers.

        Raises:
            ContractError: a contract is missing or wrong.
            ConfigurationError: dbt cannot parse the project.
        """
        tables = {table for view in views.views.values() for table in view.tables}
        found: dict[TableId, tuple[DeltaColumn, ...]] = {}
        if any(table.layer == "bronze" for table in tables):
            found |= _of_contracts(platform)
        if any(table.layer in _MODELLED for table in tables) and platform.path(_PROJECT).is_dir():
            found |= _of_models(platform)
        return cls({table: found[table] for table in sorted(tables & found.keys(), key=str)})

    def classified(self, view: FeatureView) -> tuple[DeltaColumn, ...]:
        """The view's columns with the classification that they have by descent; none where one of its tables is declared nowhere."""
        if not all(table in self.columns for table in view.tables):
            return ()
        read = {table: self.columns[table] for table in view.tables}
        lineage = {} if all(_plain(table, columns) for table, columns in read.items()) else lineage_of(view, read)
        return classified(columns_of(view), lineage, _with_unreviewed(read, lineage))


def _plain(table: TableId, columns: Sequence[DeltaColumn]) -> bool:
    # Bronze may hold a column that landed without a contract, which only the SQL shows.
    return table.layer != "bronze" and all(column.classification in _PLAIN for column in columns)


def _of_contracts(platform: Platform) -> dict[TableId, tuple[DeltaColumn, ...]]:
    # Types do not matter for descent, and a contract may leave them to the source.
    return {
        TableId("bronze", name): tuple(DeltaColumn(column, "string", level) for column, level in levels.items())
        for name, levels in declared_classifications(platform).items()
    }


def _of_models(platform: Platform) -> dict[TableId, tuple[DeltaColumn, ...]]:
    return {
        table_id(model.table): tuple(
            DeltaColumn(column.name, column.type or "string", column.classification) for column in model.columns
        )
        for model in prepare(platform.path(_PROJECT)).models
    }


def _with_unreviewed(read: Mapping[TableId, Sequence[DeltaColumn]], lineage: Lineage) -> Columns:
    """The columns, and those of bronze that a view is made from though no contract names them."""
    used = {pair for pairs in lineage.values() for pair in pairs}
    return {
        table: (
            *columns,
            *(
                DeltaColumn(name, "string", _UNREVIEWED)
                for name in sorted({name for each, name in used if each == str(table)} - {c.name for c in columns})
                if table.layer == "bronze"
            ),
        )
        for table, columns in read.items()
    }
