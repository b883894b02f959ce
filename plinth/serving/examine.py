"""What must hold of the serving tables, as SQL that finds the rows which break it.

What belongs here: the rules. What does not: how a result is shown (`assets`), and what is served (`sample`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from plinth.engine import connect, quote
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.profile import Profile
from plinth.serving.documents import CATALOG
from plinth.serving.plan import CUSTOMERS
from plinth.serving.propensity import unlikely_rows
from plinth.serving.tables import PROMOTION_PLAN, PURCHASE_PROPENSITY, ServingTable

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Broken:
    """How many rows break a rule, and the query that finds them."""

    rows: int
    sql: str
    version: int


def broken_lists(lakehouse: Lakehouse, profile: Profile, table: ServingTable) -> Broken:
    """Rows of lists that are no lists: a rank is missing or doubled, an item comes twice, or is not in the catalogue.

    Raises:
        TableMissing: the table, or the catalogue, has not been made yet.
    """
    owner, rank = (quote(name) for name in table.key)
    item = quote(
        "similar_item_code" if any(column.name == "similar_item_code" for column in table.columns) else "item_code"
    )
    rows, catalog = rows_of(lakehouse.open(table.id)), rows_of(lakehouse.open(CATALOG))
    sql = (
        f"SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY {owner} ORDER BY {rank}) AS place, "
        f"count(*) OVER (PARTITION BY {owner}, {item}) AS times FROM {rows}) r "
        f"WHERE {rank} IS DISTINCT FROM place OR times > 1 OR {item} NOT IN (SELECT item_code FROM {catalog}) OR score IS NULL"
    )
    return _count(lakehouse, profile, table.id, sql)


def broken_propensities(lakehouse: Lakehouse, profile: Profile) -> Broken:
    """Rows of serving/purchase_propensity that are no probabilities, or of a customer who stands there twice.

    Raises:
        TableMissing: the table has not been made yet.
    """
    table = PURCHASE_PROPENSITY.id
    return _count(lakehouse, profile, table, unlikely_rows(rows_of(lakehouse.open(table))))


def without_consent(lakehouse: Lakehouse) -> pa.Table:
    """Planned contacts of customers who did not plainly consent to marketing, whose account is closed, or whom nobody knows.

    Raises:
        TableMissing: the plan, or silver/customers, has not been made yet.
    """
    from plinth.promote.consent import consent_violations

    con = connect(lakehouse.platform.profile())
    try:
        rows, people = rows_of(lakehouse.open(PROMOTION_PLAN.id)), rows_of(lakehouse.open(CUSTOMERS))
        plan = con.execute(f"SELECT customer_no, promotion_id FROM {rows}").to_arrow_table()
        customers = con.execute(f"SELECT customer_no, has_marketing_consent, is_active FROM {people}").to_arrow_table()
        return consent_violations(plan, customers)
    finally:
        con.close()


def _count(lakehouse: Lakehouse, profile: Profile, table: TableId, sql: str) -> Broken:
    con = connect(profile, scratch=lakehouse.platform.path(lakehouse.platform.stores.scratch))
    try:
        found = con.execute(f"SELECT count(*) FROM ({sql})").fetchone()
    finally:
        con.close()
    return Broken(int(found[0]) if found else 0, sql, lakehouse.open(table).version)
