"""A shop that is made once, and copied for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plinth.serving.shop import Shop, copy_of, trained_shop


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Shop:
    """A shop with a champion of this test's own."""
    return copy_of(trained_shop(tmp_path_factory), tmp_path / "shop")
