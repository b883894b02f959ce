"""Where the store is: by the platform's settings, with its password in a variable only."""

from __future__ import annotations

from pathlib import Path

import pytest

from plinth.errors import ConfigurationError
from plinth.online import OnlineStore
from plinth.platform import load_platform
from tests.plinth.online.test_cli import PLATFORM


def written(folder: Path, stores: str) -> Path:
    """A platform file with these stores."""
    file = folder / "platform.yaml"
    file.write_text(PLATFORM.replace('stores: {online: "sqlite:///online.db"}', f"stores: {stores}"), encoding="utf-8")
    return file


def test_by_default_it_is_a_file_below_the_project(tmp_path: Path) -> None:
    assert load_platform(written(tmp_path, "{}")).online_url() == f"sqlite:///{tmp_path}/data/online/online.db"


def test_a_variable_holds_the_address_of_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    platform = load_platform(written(tmp_path, "{online_env: SHOP_ONLINE}"))
    with pytest.raises(ConfigurationError, match="SHOP_ONLINE"):
        platform.online_url()
    monkeypatch.setenv("SHOP_ONLINE", "postgresql://plinth:s3cr3t@db/online")
    store = OnlineStore.of(platform)
    assert "s3cr3t" not in store.address.text
    assert store.address.url.password == "s3cr3t"


def test_a_password_in_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="online_env"):
        load_platform(written(tmp_path, '{online: "postgresql://plinth:s3cr3t@db/online"}'))
