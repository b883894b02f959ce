"""A process that merges into a table again and again until somebody kills it: `python -m tests.plinth.lakehouse.merging HOME SEED`."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from plinth.engine import connect
from plinth.errors import CommitConflict
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.merge import Changes, merge
from plinth.lakehouse.tables import TableId

from .conftest import make_lakehouse

LINES = TableId("bronze", "lines")


def main() -> None:
    lakehouse, draw = make_lakehouse(Path(sys.argv[1])), random.Random(int(sys.argv[2]))
    con = connect(lakehouse.platform.profile())
    print("ready", flush=True)
    while True:
        start = draw.randrange(3000)
        con.execute(
            f"CREATE OR REPLACE TABLE up AS SELECT i AS id, i % 7 AS customer, {draw.randrange(99)}::DECIMAL(10, 2) AS price, "
            f"NULL::VARCHAR AS note FROM range({start}, {start + 40}) t(i)"
        )
        con.execute(f"CREATE OR REPLACE TABLE gone AS SELECT i AS id FROM range({start + 40}, {start + 50}) t(i)")
        base = lakehouse.open(LINES)
        rewrite = merge(con, base, base.columns, Changes(("id",), "up", "gone", feed=True))
        state = base.state.next(changed=rewrite.changed)
        try:
            commit(lakehouse, LINES, Write(base, base.columns, state, rewrite.add, rewrite.remove, feed=rewrite.feed))
        except CommitConflict:
            continue


if __name__ == "__main__":
    main()
