"""One load of the benchmark's table by Plinth, as a process of its own: `python -m benchmarks.load_worker URL FOLDER MODE [--full]`."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

from benchmarks.lines import NAMES, TABLE
from plinth.contracts.model import Column, Mode, Table
from plinth.ingest import ingest
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform, Source, Zone
from plinth.profile import Profile
from plinth.sources import open_url

_TYPES = {"unit_price": "decimal(12,4)", "discount": "decimal(8,2)", "tax": "decimal(12,2)"}
_WHOLE = {"line_id": "long", "order_id": "long", "customer_id": "integer", "quantity": "integer"}


def platform(folder: Path, url: str, memory_mb: int) -> Platform:
    """A platform in a folder of its own, with the profile that the benchmark limits."""
    zone = Zone(root="zone", clearance=("public", "internal", "confidential", "restricted"))
    layers = dict.fromkeys(("bronze", "silver", "gold", "ops"), "on_prem")
    return Platform(
        zones={"on_prem": zone},
        layers=layers,  # type: ignore[arg-type]
        profiles={"small": Profile(cpu=2, memory=memory_mb * 2**20, threads=2)},
        default_profile="small",
        sources={"shop": Source(url_env="BENCHMARK_URL", contract="none.yaml")},
        home=folder,
    )


def table(mode: Mode) -> Table:
    """The contract of the benchmark's table."""
    return Table(
        source="shop",
        name=TABLE,
        physical_name=TABLE,
        columns=tuple(Column(name, name, delta_type=_delta_type(name)) for name in NAMES),
        key=("line_id",),
        cursor="updated_at",
        mode=mode,
        reconcile_every=timedelta(days=365),
    )


def _delta_type(name: str) -> str:
    if name.endswith("_at"):
        return "timestamp_ntz"
    return _TYPES.get(name) or _WHOLE.get(name) or "string"


def main() -> None:
    url, folder, mode, memory_mb = sys.argv[1:5]
    settings = platform(Path(folder), url, int(memory_mb))
    source = open_url(url)
    try:
        outcome = ingest(table(Mode(mode)), source, Lakehouse(settings), run="benchmark")
    finally:
        source.close()
    print(
        json.dumps(
            {"rows": outcome.rows, "inserted": outcome.inserted, "updated": outcome.updated, "seconds": outcome.seconds}
        )
    )


if __name__ == "__main__":
    main()
