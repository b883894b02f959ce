"""A champion that is changed by command is what is served, by the same command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.frame.shop import PROJECT
from tests.plinth.serving.shop import Shop, copy_of, trained_shop

pytestmark = pytest.mark.slow

# The serving half of the real definitions: this shop's gold is written by hand, so there is no contract and no dbt project.
DEFINITIONS = """
from pathlib import Path
import dagster as dg
from assets.serving import serving_assets
from jobs import asset_jobs
from plinth.platform import load_platform
from resources import platform_resources

platform = load_platform(Path(__file__).with_name("platform.yaml"))
defs = dg.Definitions(
    assets=serving_assets(platform), jobs=asset_jobs({"serving"}), resources=platform_resources(platform), executor=dg.in_process_executor
)
"""


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Shop:
    """A project with two versions of the recommender, the second of which is champion."""
    made = project_of(copy_of(trained_shop(tmp_path_factory), tmp_path / "shop"))
    made.train(2)
    return made


def project_of(shop: Shop, **stores: str) -> Shop:
    """The shop as a project that commands find, with other stores where they are given."""
    settings = shop.platform.model_copy(update={"stores": shop.platform.stores.model_copy(update=stores)})
    made = Shop(shop.folder, settings)
    (made.folder / "definitions.py").write_text(DEFINITIONS)
    values = settings.model_dump(mode="json", exclude_none=True, exclude={"home"})
    (made.folder / "platform.yaml").write_text(yaml.safe_dump(values))
    return made


def model(shop: Shop, *words: str, code: int = 0) -> str:
    """Runs `plinth model` in the project."""
    environment = {key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "PLINTH_PLATFORM")}
    done = subprocess.run(
        [sys.executable, "-m", "plinth.cli", "model", *words],
        cwd=shop.folder, env={**environment, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def served(shop: Shop) -> tuple[int, str]:
    """The version of the online store, and the model's version that it was made from."""
    with shop.store() as store:
        version = store.current()
    assert version is not None
    return version.id, version.inputs["models/recommender"].split()[0]


def test_a_rollback_reaches_what_is_served_and_says_so(shop: Shop) -> None:
    said = model(shop, "promote", "recommender", "2")
    assert "version 2 is the champion already" in said
    assert "version 1 of the online store is served now" in said
    assert served(shop) == (1, "2")

    said = model(shop, "rollback", "recommender", "--reason", "complaints")
    assert "recommender version 1 is the champion, in the place of version 2" in said
    assert "version 2 of the online store is served now, in the place of 1" in said
    assert served(shop) == (2, "1")

    said = model(shop, "promote", "recommender", "2", "--no-publish")
    assert "stays as it is until the next publish" in said
    assert served(shop) == (2, "1")

    # The gold tables are taken away: nothing can be made of the champion, and what was served goes on.
    (shop.folder / "on_prem" / "gold").rename(shop.folder / "gone")
    said = model(shop, "rollback", "recommender", code=1)
    assert "recommender version 1 is the champion" in said
    assert "The publish failed" in said and "version 2 of the online store is served, as before" in said
    assert served(shop) == (2, "1")
