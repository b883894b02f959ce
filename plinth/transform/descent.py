"""Whether a column may say less of itself than the columns it comes from.

A column whose values are made from confidential ones is confidential too, unless its YAML says how it was made fit to leave the premises
(`pseudonymised`). So a wrong or forgotten classification is refused when the table is written, whatever the documents say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from plinth.errors import ResidencyViolation
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import TableId
from plinth.platform import Classification
from plinth.transform.model import PSEUDONYMISED, Model, table_id

Lineage = Mapping[str, Sequence[tuple[str, str]]]
"""For each column the (table, column) pairs that its values are made from."""

_LEVELS = get_args(Classification)


def check_descent(
    model: Model,
    columns: Sequence[DeltaColumn],
    lineage: Lineage | None,
    inputs: Mapping[TableId, Sequence[DeltaColumn]],
) -> None:
    """Refuses columns that are classified lower than their sources and do not say why they may be.

    Args:
        columns: what is to be stored.
        lineage: None where it cannot be told; then every column may come from every column of every input.
        inputs: the columns of the tables that the model reads, as they are stored.

    Raises:
        ResidencyViolation: names the columns and where they come from.
    """
    levels = {(str(table), each.name): each.classification for table, found in inputs.items() for each in found}
    anything = list(levels)
    lines = []
    for column in columns:
        if PSEUDONYMISED in column.metadata:
            continue
        sources = (
            anything
            if lineage is None
            else [(str(table_id(table)), name) for table, name in lineage.get(column.name, ())]
        )
        above = [
            f"{table}.{name} ({levels[table, name]})"
            for table, name in sources
            if _LEVELS.index(levels.get((table, name), _LEVELS[0])) > _LEVELS.index(column.classification)
        ]
        if above:
            lines.append(f"{column.name} ({column.classification}) comes from {', '.join(above)}")
    if lines:
        raise ResidencyViolation(
            f"{model.table} would hold personal data under a lower classification",
            expected="columns classified as high as their sources, or with `pseudonymised` in their meta: how they were made fit to leave",
            found="; ".join(lines)
            + ("" if lineage is not None else " (the SQL's lineage cannot be told, so all inputs count)"),
            where=f"dbt_project/models/{model.table.layer}",
            remedy="leave the columns out, coarsen them and say so in the YAML, or classify them as their sources are",
        )
