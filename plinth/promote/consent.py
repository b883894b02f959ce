"""No consent, no contact: whether a plan keeps to it, judged by the plan's table alone and not by how it was made.

What belongs here: the check that blocks the publishing of a plan. What does not: making one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plinth.promote.columns import require

if TYPE_CHECKING:
    import pyarrow as pa

_VIOLATIONS = """
SELECT p.customer_no, p.promotion_id,
       CASE WHEN c.customer_no IS NULL THEN 'unknown customer' WHEN c.consents IS NOT TRUE THEN 'no consent' ELSE 'account closed' END AS reason
FROM plan p LEFT JOIN people c ON c.customer_no = p.customer_no
WHERE c.customer_no IS NULL OR c.consents IS NOT TRUE OR c.active IS FALSE
ORDER BY p.customer_no, p.promotion_id
"""


def consent_violations(plan: pa.Table, customers: pa.Table) -> pa.Table:
    """The rows of a plan that contact somebody who did not consent, whose account is closed, or whom nobody knows.

    Args:
        plan: customer_no, promotion_id.
        customers: customer_no, has_marketing_consent, and is_active where it is known. Only a plain yes is a consent; of several rows of one customer
            a single no counts.

    Returns:
        customer_no, promotion_id, reason; no row where the plan keeps to the rule.

    Raises:
        ExamplesUnusable: a column is missing.
    """
    import duckdb

    require(plan, ("customer_no", "promotion_id"))
    require(customers, ("customer_no", "has_marketing_consent"))
    active = "bool_and(is_active)" if "is_active" in customers.column_names else "NULL::BOOLEAN"
    with duckdb.connect(config={"threads": 1}) as con:
        con.register("plan", plan)
        con.register("everyone", customers)
        con.execute(
            "CREATE TEMP VIEW people AS SELECT customer_no, bool_and(coalesce(has_marketing_consent, false)) AS consents, "
            f"{active} AS active FROM everyone GROUP BY customer_no"
        )
        return con.execute(_VIOLATIONS).to_arrow_table()
