"""A shop that is made once, and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.plinth.serving.shop import Shop, make_shop, platform_in


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a shop with a champion; training and MLflow's first start take some seconds."""
    folder = tmp_path_factory.mktemp("shop") / "shop"
    make_shop(folder).train(1)
    return folder


@pytest.fixture
def shop(trained: Path, tmp_path: Path) -> Shop:
    """A shop of this test's own."""
    folder = tmp_path / "shop"
    shutil.copytree(trained, folder)
    return Shop(folder, platform_in(folder))
