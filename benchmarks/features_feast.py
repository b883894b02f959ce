"""Feast's side of `benchmarks.features`, run by the environment that holds Feast: `python features_feast.py FOLDER RESULT`.

It imports nothing of this project. Feast's offline store on DuckDB reads the same rows, with both times declared as Feast has them.
"""

import json
import resource
import sys
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64, Int64

FEATURES = [f"f{number}" for number in range(1, 7)]


def main() -> None:
    folder, result = Path(sys.argv[1]), Path(sys.argv[2])
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / "feast_registry.db"),
            offline_store={"type": "duckdb"},
            online_store={"type": "sqlite", "path": str(folder / "feast_online.db")},
            entity_key_serialization_version=3,
        )
    )
    entity = Entity(name="customer", join_keys=["k"], value_type=ValueType.INT64)
    source = FileSource(
        name="rows",
        path=str(folder / "feast_rows.parquet"),
        timestamp_field="as_of",
        created_timestamp_column="known_at",
    )
    schema = [Field(name="k", dtype=Int64), *(Field(name=name, dtype=Float64) for name in FEATURES)]
    view = FeatureView(name="bench", entities=[entity], ttl=timedelta(0), schema=schema, source=source, online=False)
    store.apply([entity, source, view])
    entities = pq.read_table(folder / "entities.parquet").to_pandas().rename(columns={"at": "event_timestamp"})
    entities["event_timestamp"] = pd.to_datetime(entities["event_timestamp"], utc=True)
    began, before = time.monotonic(), _cpu()
    found = store.get_historical_features(
        entity_df=entities, features=[f"bench:{name}" for name in FEATURES]
    ).to_arrow()
    measured = {"cpu": _cpu() - before, "wall": time.monotonic() - began, "rows": found.num_rows}
    pq.write_table(found.select(["label", *FEATURES]), result.with_suffix(".parquet"))
    result.write_text(json.dumps(measured))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
