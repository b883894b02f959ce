"""A lakehouse with sales for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plinth.features.shop import FeatureShop, make_shop


@pytest.fixture
def shop(tmp_path: Path) -> FeatureShop:
    return make_shop(tmp_path)
