"""Feast's side of `benchmarks.features` and `benchmarks.serve`, run by the environment that holds Feast.

`python feast_peer.py features FOLDER RESULT` joins FOLDER's rows to its entities by its offline store on DuckDB, with both times declared as
Feast has them, and writes what it took into RESULT. `python feast_peer.py serve FOLDER SECONDS` asks its online store (SQLite, like ours) in one
process and without HTTP for one customer's forty values at a time, and prints requests a second. It imports nothing of this project.
"""

import json
import resource
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64, Int64

VIEW = "bench"
SIX = [f"f{number}" for number in range(1, 7)]
FORTY = [f"feature_{number}" for number in range(40)]
CUSTOMERS = 1_000


def main() -> None:
    job, folder, last = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    if job == "features":
        _features(folder, Path(last))
    else:
        print(_serve(folder, float(last)))


def _features(folder: Path, result: Path) -> None:
    columns = [Field(name="k", dtype=Int64), *(Field(name=name, dtype=Float64) for name in SIX)]
    store = _store(folder, "k", columns, online=False, timestamp_field="as_of", created_timestamp_column="known_at")
    entities = pq.read_table(folder / "entities.parquet").to_pandas().rename(columns={"at": "event_timestamp"})
    entities["event_timestamp"] = pd.to_datetime(entities["event_timestamp"], utc=True)
    began, before = time.monotonic(), _cpu()
    found = store.get_historical_features(entity_df=entities, features=_named(SIX)).to_arrow()
    measured = {"cpu": _cpu() - before, "wall": time.monotonic() - began, "rows": found.num_rows}
    pq.write_table(found.select(["label", *SIX]), result.with_suffix(".parquet"))
    result.write_text(json.dumps(measured))


def _serve(folder: Path, seconds: float) -> float:
    rows = pd.DataFrame({name: [float(each) for each in range(CUSTOMERS)] for name in FORTY})
    rows["customer"] = list(range(CUSTOMERS))
    rows["at"] = datetime.now(UTC)
    rows.to_parquet(folder / "feast_rows.parquet")
    columns = [Field(name=name, dtype=Float64) for name in FORTY]
    store = _store(folder, "customer", columns, online=True, timestamp_field="at")
    store.write_to_online_store(VIEW, rows)
    wanted, count, began = _named(FORTY), 0, time.monotonic()
    while time.monotonic() - began < seconds:
        asked = [{"customer": count * 7919 % CUSTOMERS}]
        found = store.get_online_features(features=wanted, entity_rows=asked).to_dict()
        assert found[FORTY[0]][0] is not None
        count += 1
    return count / (time.monotonic() - began)


def _store(folder: Path, key: str, columns: Sequence[Field], *, online: bool, **times: str) -> FeatureStore:
    """A store with one view, over the rows of `feast_rows.parquet`."""
    store = FeatureStore(
        config=RepoConfig(
            project=VIEW,
            provider="local",
            registry=str(folder / "feast_registry.db"),
            offline_store={"type": "duckdb"},
            online_store={"type": "sqlite", "path": str(folder / "feast_online.db")},
            entity_key_serialization_version=3,
        )
    )
    entity = Entity(name="customer", join_keys=[key], value_type=ValueType.INT64)
    source = FileSource(name="rows", path=str(folder / "feast_rows.parquet"), **times)
    view = FeatureView(
        name=VIEW, entities=[entity], ttl=timedelta(0), schema=list(columns), source=source, online=online
    )
    store.apply([entity, source, view])
    return store


def _named(columns: Sequence[str]) -> list[str]:
    return [f"{VIEW}:{name}" for name in columns]


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
