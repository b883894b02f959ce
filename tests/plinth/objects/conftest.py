"""A lakehouse whose cloud zone lies in an object store, and whose on-premises zone in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from plinth.engine import connect
from plinth.lakehouse.tables import Lakehouse
from plinth.objects.settings import StoreOptions
from plinth.platform import Platform, Profile, Source, Zone
from tests.servers import S3Server


def platform_at(home: Path, bucket: str, server: S3Server, *, bronze: str = "on_prem", url: str = "") -> Platform:
    """A platform with two zones; `bronze` is the zone of bronze and ops."""
    return Platform(
        zones={
            "on_prem": Zone(root="on_prem", clearance=("public", "internal", "confidential", "restricted")),
            "cloud": Zone(
                root=f"s3://{bucket}/lake",
                clearance=("public", "internal"),
                options=StoreOptions(endpoint=server.endpoint, retries=2),
            ),
        },
        layers={"bronze": bronze, "ops": bronze, "silver": "cloud", "gold": "cloud", "features": "cloud"},
        profiles={"small": Profile(cpu=1, memory=512 * 2**20, threads=1)},
        default_profile="small",
        sources={"shop": Source(url=url, contract="shop.odcs.yaml")} if url else {},
        home=home,
    )


@pytest.fixture
def lakehouse(tmp_path: Path, bucket: str, s3_server: S3Server) -> Lakehouse:
    return Lakehouse(platform_at(tmp_path, bucket, s3_server))


@pytest.fixture
def con(lakehouse: Lakehouse, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = connect(lakehouse.platform.profile(), extensions=("delta",), scratch=tmp_path / "scratch")
    yield connection
    connection.close()
