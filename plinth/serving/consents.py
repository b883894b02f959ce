"""Whose offers are shown to nobody: customers who do not plainly consent to marketing by the newest silver/customers, or have no account there.

A version holds the offers of those who consented when it was planned. Between then and now somebody may have withdrawn, and the newer version
may never come: a check holds it back, the night fails, or a rollback brings an older one. So the consents of today are laid over whatever
version is served. What belongs here: who that is. What does not: leaving them out (`plinth.online.withhold`), and the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from plinth.engine import connect
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import Lakehouse
from plinth.profile import Profile
from plinth.serving.documents import OFFERS, PLAN
from plinth.serving.plan import CUSTOMERS

if TYPE_CHECKING:
    import duckdb

    from plinth.online import OnlineStore

_ALLOWED = """
SELECT customer_no::VARCHAR FROM {people} GROUP BY customer_no
HAVING bool_and(coalesce(has_marketing_consent, false)) AND bool_and(is_active IS NOT FALSE)
"""


@dataclass(frozen=True)
class Withheld:
    """What a look at the consents came to.

    Attributes:
        customers: how many customers' offers are shown to nobody, of those who have any in a version that is kept.
        changed: whether they are others than before.
        known: whether the consents are known; where silver/customers was never made nobody is known to consent.
    """

    customers: int
    changed: bool
    known: bool = True


def withhold_offers(lakehouse: Lakehouse, profile: Profile, store: OnlineStore) -> Withheld:
    """Lays today's consents over every version of the store, and over the one that the plan would make.

    Raises:
        StorageFailure: the consents cannot be read; what was withheld before stays so.
        StoreUnavailable, StoreConflict: as the store.
    """
    con = connect(profile, scratch=lakehouse.platform.path(lakehouse.platform.stores.scratch))
    try:
        keys = store.keys(OFFERS.name) | _planned(con, lakehouse)
        people = lakehouse.find(CUSTOMERS)
        consenting = _texts(con, _ALLOWED.format(people=rows_of(people))) if people is not None else frozenset()
    finally:
        con.close()
    withheld = keys - consenting
    return Withheld(len(withheld), store.withhold(OFFERS.name, withheld), known=people is not None)


def _planned(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> frozenset[str]:
    plan = lakehouse.find(PLAN)
    return (
        _texts(con, f"SELECT DISTINCT customer_no::VARCHAR FROM {rows_of(plan)}") if plan is not None else frozenset()
    )


def _texts(con: duckdb.DuckDBPyConnection, sql: str) -> frozenset[str]:
    return frozenset(row[0] for row in con.execute(sql).fetchall())
