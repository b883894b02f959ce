"""A load of its own process, with nothing but a platform's files and an address to go by: `python -m tests.spark.load_job OVERLAY URL`."""

from __future__ import annotations

import sys
from dataclasses import replace

from plinth.contracts.model import Table
from plinth.ingest import ingest
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import load_platform
from plinth.sources import open_url
from tests.plinth.sources.landing import contract
from tests.spark.house import ROOT

ROWS = 400_000
MAKE = (
    "CREATE TABLE parcels (id int PRIMARY KEY, weight numeric(9,3), sent timestamptz, label text)",
    f"INSERT INTO parcels SELECT i, i / 8.0, timestamptz '2024-01-01' + i * interval '1 s', md5(i::text) || repeat('x', 90) FROM generate_series(1, {ROWS}) i",
)


def table() -> Table:
    """The contract of the table."""
    return replace(contract("parcels", "id weight sent label"), source="erp", profile="spark")


def main() -> None:
    lakehouse = Lakehouse(load_platform(ROOT / "platform.yaml", sys.argv[1]))
    outcome = ingest(
        table(), open_url(sys.argv[2]), lakehouse, run="job", progress=lambda line: print(line, flush=True)
    )
    print(outcome.engine, outcome.rows, outcome.source_rows, flush=True)


if __name__ == "__main__":
    main()
