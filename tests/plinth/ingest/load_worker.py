"""A process that loads the shop's table when it is told to, so that a test can kill it at any moment."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from plinth.contracts.model import Mode
from plinth.errors import PlinthError
from plinth.ingest import ingest
from plinth.lakehouse.tables import Lakehouse
from plinth.sources import open_url
from tests.plinth.ingest.conftest import ORDERS, make_platform


def main() -> None:
    home, url, mode = sys.argv[1:4]
    import deltalake  # noqa: F401  imported now, so that the measured time is that of the load
    import duckdb  # noqa: F401

    lakehouse = Lakehouse(make_platform(Path(home), url))
    contract = replace(ORDERS, mode=Mode(mode), quarantine_share=0.5)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        source = open_url(url)
        outcome = ingest(contract, source, lakehouse, run="worker")
    except PlinthError as error:
        print(f"{type(error).__name__}: {error.what}", flush=True)
        sys.exit(3 if error.transient else 4)
    print(f"done {outcome.rows}", flush=True)


if __name__ == "__main__":
    main()
