"""Feature values as documents: of each customer and each item the online values, and of a customer how he stands to his items.

What belongs here: the SQL of the documents, and holding their columns to the clearance of the serving layer. What does not: which views and
which instant (`features`). All entities are computed at once, by the SQL that snapshots are made by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from plinth.engine import literal, memory_of, quote
from plinth.features.bound import OnlineRows
from plinth.features.declare import FeatureView
from plinth.features.guard import check_sql, classified, columns_read, lineage_of
from plinth.features.parts import parts_of
from plinth.features.query import columns_of, prepare, sql_of
from plinth.features.rows import Inputs, explained
from plinth.lakehouse.door import authorise
from plinth.lakehouse.tables import Lakehouse
from plinth.online import Document
from plinth.serving.documents import ONLINE, Kind, documents_of
from plinth.serving.features import FORMS, Form, OnlineFeatures, instant_of

if TYPE_CHECKING:
    import duckdb


def feature_documents(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, features: OnlineFeatures
) -> Iterator[Document]:
    """A document for each customer and each item of whom any view knows anything, form by form, in the order of the keys.

    Raises:
        ResidencyViolation: a feature may not be where the serving layer is.
        FeatureViewError: a view reads what it may not, or its SQL cannot be run.
    """
    prepare(con)
    at = instant_of(con, features)
    if at is None:
        return
    # All are looked at before the first document: a publication that may not be stops before it has begun.
    for inputs in features.views.values():
        _allow(con, lakehouse, inputs, at)
    for form in FORMS:
        chosen = features.of(form)
        relations = {name: _computed(con, inputs, at) for name, inputs in chosen.items()}
        if chosen:
            yield from documents_of(
                con, kind_of(form, {name: each.view for name, each in chosen.items()}, relations, at)
            )
        for relation in relations.values():
            con.execute(f"DROP TABLE {relation}")


def kind_of(form: Form, views: Mapping[str, FeatureView], relations: Mapping[str, str], at: datetime) -> Kind:
    """The documents of a form as of an instant, view by view.

    Args:
        relations: for each view, SQL that can stand behind FROM and yields its keys and features.
    """
    names = sorted(views)
    first, *others = names
    joins = "".join(
        f" FULL JOIN ({_values(form, views[name], relations[name])}) {quote(name)} USING (_id)" for name in others
    )
    values = ", ".join(f"{literal(name)}: {quote(name)}._value" for name in names)
    said = {"as_of": literal(at.isoformat()), form.names[0]: "_id::VARCHAR", "features": f"{{{values}}}"}
    body = ", ".join(f"{literal(name)}: {said[name]}" for name in sorted(said))
    sql = (
        f"SELECT _id::VARCHAR AS key, to_json({{{body}}}) AS body "
        f"FROM ({_values(form, views[first], relations[first])}) {quote(first)}{joins} ORDER BY key"
    )
    return Kind(form.kind, sql, {})


def _allow(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, inputs: Inputs, at: datetime) -> None:
    """Holds that the rows of a view may be served and can be computed."""
    check_sql(inputs.view)
    read = columns_read(inputs, lakehouse.platform)
    columns = classified(columns_of(inputs.view), lineage_of(inputs.view, read), read)
    authorise(lakehouse, ONLINE, columns)
    with explained(inputs.view):
        con.execute(f"EXPLAIN {sql_of(inputs.view, inputs.rows(), at)}")


def _computed(con: duckdb.DuckDBPyConnection, inputs: Inputs, at: datetime) -> str:
    """Name of a table with the rows of a view as of an instant, part by part.

    The documents are made of the table and not of the view's query: together they hold more than either, and customers' items of Online Retail II
    ended for want of memory within 563 MiB.
    """
    view, table = inputs.view, quote(f"plinth_online_{inputs.view.name}")
    for number, part in enumerate(parts_of(inputs, memory_of(con))):
        rows = sql_of(view, inputs.rows(), at, part=part)
        if isinstance(view.online, OnlineRows):
            # Already here, as somebody may stand to thousands; and once more in the documents, as a part may be of the other key.
            rows = f"SELECT * FROM ({rows}) QUALIFY {_place(view, view.online)} <= {view.online.most}"
        con.execute(f"{f'INSERT INTO {table}' if number else f'CREATE OR REPLACE TEMP TABLE {table} AS'} {rows}")
    return table


def _place(view: FeatureView, bound: OnlineRows) -> str:
    """SQL for a row's place among those of its first key, counted from 1."""
    key, *others = map(quote, view.keys)
    return f"row_number() OVER (PARTITION BY {key} ORDER BY {quote(bound.order)} DESC NULLS LAST, {', '.join(others)})"


def _values(form: Form, view: FeatureView, relation: str) -> str:
    """SQL that yields for each `_id` the values of a view as `_value`: of one row, or of the first rows of a pair's."""
    key, *others = form.entity
    if not isinstance(view.online, OnlineRows):
        return f"SELECT {quote(key)} AS _id, {_struct(view)} AS _value FROM {relation}"
    place = _place(view, view.online)
    named = zip(form.names[1:], others, strict=True)
    # As text: an ordered list of rows with their columns apart takes several times the memory.
    row = ", ".join(f"{literal(name)}: {quote(other)}::VARCHAR" for name, other in named)
    return (
        f"SELECT {quote(key)} AS _id, CAST('[' || string_agg(to_json({{{row}, 'values': {_struct(view)}}})::VARCHAR, ',' ORDER BY _place) || ']' AS JSON) AS _value "
        f"FROM (SELECT *, {place} AS _place FROM {relation} QUALIFY _place <= {view.online.most}) GROUP BY {quote(key)}"
    )


def _struct(view: FeatureView) -> str:
    fields = []
    for name in sorted(view.features):
        value = quote(name)
        if view.features[name].type == "double":
            # JSON has no word for them, and DuckDB writes one that no reader takes.
            value = f"CASE WHEN isfinite({value}) THEN {value} END"
        fields.append(f"{literal(name)}: {value}")
    return f"{{{', '.join(fields)}}}"
