"""One parsed project for the room, and a shop for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plinth.transform.shop import Shop, shared_project


@pytest.fixture(scope="session")
def shop_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_project(tmp_path_factory.getbasetemp())


@pytest.fixture
def shop(tmp_path: Path, shop_project: Path) -> Iterator[Shop]:
    opened = Shop(tmp_path, shop_project)
    yield opened
    opened.con.close()
