"""A model's SQL in Spark's dialect, over views that stand for the tables it reads.

Models and features are written for DuckDB in SQL that both engines understand alike; sqlglot puts into words of Spark what is spelled differently
(`date_diff`, `regexp_matches`, where nulls sort). What belongs here: names and dialect. What does not: running it (`engine`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from plinth.errors import PlinthError
from plinth.lakehouse.tables import TableId

if TYPE_CHECKING:
    from sqlglot.expressions import Expr


def view_name(table: TableId) -> str:
    """The name of the temporary view that stands for a table in a session."""
    return f"plinth_{table.layer}_{table.name}"


def to_spark(sql: str, tables: Iterable[TableId]) -> str:
    """A DuckDB query as one of Spark's, which reads the views of `view_name`.

    Args:
        tables: what the query may read, as `layer.name` with or without a catalogue.

    Raises:
        PlinthError: sqlglot does not understand the query, or it reads another table.
    """
    from sqlglot import ErrorLevel, exp, parse_one
    from sqlglot.errors import SqlglotError

    known: dict[tuple[str, str], str] = {(table.layer, table.name): view_name(table) for table in tables}
    try:
        tree = parse_one(sql, dialect="duckdb")
        for node in list(tree.find_all(exp.Table)):
            name = known.get((node.db, node.name))
            if name is not None:
                if not node.alias:
                    node.set("alias", exp.TableAlias(this=exp.to_identifier(node.name)))
                node.set("catalog", None)
                node.set("db", None)
                node.set("this", exp.to_identifier(name))
            elif node.db:
                raise PlinthError(
                    "a query for Spark reads a table that it does not name as an input",
                    expected=", ".join(sorted(f"{layer}.{each}" for layer, each in known)),
                    found=node.sql(dialect="duckdb"),
                    remedy="refer to it by ref() or source()",
                )
        # From the leaves up, in place: what is put in for a node would otherwise hide what stands below it.
        for inner in reversed(list(tree.walk())):
            _make_alike(inner)
        return tree.sql(dialect="spark", unsupported_level=ErrorLevel.RAISE)
    except SqlglotError as error:
        raise PlinthError(
            "a query cannot be put into Spark's dialect",
            found=error,
            remedy="write it in SQL that both engines understand, or leave the model to DuckDB",
        ) from error


def _make_alike(node: Expr) -> None:
    """Changes what sqlglot leaves as it is and the engines take differently."""
    from sqlglot import exp

    if isinstance(node, exp.Div):
        # DuckDB divides doubles, whatever it is given; Spark divides decimals as decimals, and rounds them.
        node.set("this", exp.cast(node.this.unnest(), "DOUBLE"))
        node.set("expression", exp.cast(node.expression.unnest(), "DOUBLE"))
    elif isinstance(node, exp.Avg):
        _average(node)
    elif isinstance(node, exp.PercentileCont):
        node.replace(exp.Anonymous(this="PERCENTILE", expressions=[node.this, node.expression]))
    elif isinstance(node, exp.DayOfWeek):
        # Sunday is 0 in DuckDB and 1 in Spark.
        node.replace(exp.paren(exp.Sub(this=node.copy(), expression=exp.Literal.number(1))))
    elif isinstance(node, exp.Greatest | exp.Least) and not node.expressions:
        # Spark refuses the greatest of one value.
        node.replace(node.this)
    elif isinstance(node, exp.Anonymous) and node.name.lower() == "epoch_us":
        node.replace(exp.Anonymous(this="UNIX_MICROS", expressions=[exp.cast(node.expressions[0], "TIMESTAMPTZ")]))


def _average(node: Expr) -> None:
    """A mean as its sum over its count: DuckDB's is a double, Spark's of decimals is one of four more places."""
    from sqlglot import exp

    # What says of which rows it is, a filter or a window, belongs to both.
    outer = node
    while isinstance(outer.parent, exp.Filter | exp.Window) and outer.parent.this is outer:
        outer = outer.parent

    def over(kind: type[exp.AggFunc]) -> Expr:
        whole = outer.copy()
        mean = whole
        while not isinstance(mean, exp.Avg):
            mean = mean.this
        found = kind(this=mean.this.copy())
        if mean is whole:
            return exp.cast(found, "DOUBLE")
        mean.replace(found)
        return exp.cast(whole, "DOUBLE")

    outer.replace(exp.paren(exp.Div(this=over(exp.Sum), expression=over(exp.Count)), copy=False))
