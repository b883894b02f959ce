"""Feast's side of `benchmarks.serve`, run by the environment that holds Feast: `python serve_feast.py FOLDER SECONDS`.

It imports nothing of this project. Its online store is SQLite like ours, and one process asks for one customer's forty values at a time,
without HTTP. Prints requests a second.
"""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64

FEATURES = [f"feature_{number}" for number in range(40)]
CUSTOMERS = 1_000


def main() -> None:
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
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
    rows = pd.DataFrame({name: [float(each) for each in range(CUSTOMERS)] for name in FEATURES})
    rows["customer"] = list(range(CUSTOMERS))
    rows["at"] = datetime.now(UTC)
    rows.to_parquet(folder / "feast_rows.parquet")
    entity = Entity(name="customer", join_keys=["customer"], value_type=ValueType.INT64)
    source = FileSource(name="rows", path=str(folder / "feast_rows.parquet"), timestamp_field="at")
    schema = [Field(name=name, dtype=Float64) for name in FEATURES]
    view = FeatureView(name="bench", entities=[entity], ttl=timedelta(0), schema=schema, source=source, online=True)
    store.apply([entity, source, view])
    store.write_to_online_store("bench", rows)
    wanted = [f"bench:{name}" for name in FEATURES]
    count, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        found = store.get_online_features(
            features=wanted, entity_rows=[{"customer": count * 7919 % CUSTOMERS}]
        ).to_dict()
        assert found["feature_0"][0] is not None
        count += 1
    print(count / (time.monotonic() - began))


if __name__ == "__main__":
    main()
