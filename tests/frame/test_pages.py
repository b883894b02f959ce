"""The pages that people look at, in a real browser: Dagster's over a run of the sample, and the API's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.api.process import ApiProcess
from tests.frame.sample_site import SampleSite
from tests.frame.shop import PROJECT
from tests.servers.ports import free_port
from tests.servers.process import _die_with_parent

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

_PATIENCE = 60_000
"""Milliseconds, as the browser counts."""
_SICK = ("Something went wrong", "An unexpected error", "GraphQL error", "Unable to load", "error loading", "Traceback")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs a browser: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: requirements/dev.lock")
    with api.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def dagster(sample_site: SampleSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Dagster's webserver over the sample's history."""
    port = free_port()
    log = tmp_path_factory.mktemp("web") / "web.log"
    command = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "-w", "workspace.yaml"]
    environment = {**os.environ, **sample_site.variables, "DAGSTER_HOME": sample_site.report["instance"]}
    with log.open("w") as out:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=out, stderr=out, preexec_fn=_die_with_parent
        )
    try:
        limit = time.monotonic() + _PATIENCE / 1000
        while not _answers(f"http://127.0.0.1:{port}/server_info"):
            assert process.poll() is None and time.monotonic() < limit, log.read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


class Looked:
    """A page that is looked at, and what the browser complained about meanwhile."""

    def __init__(self, browser: Browser) -> None:
        self.page: Page = browser.new_page(viewport={"width": 1500, "height": 1300})
        self.page.set_default_timeout(_PATIENCE)
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)

    def shows(self, address: str, *texts: str) -> str:
        """All that a page says, once each of the texts stands on it; no error stands beside them."""
        self.page.goto(address)
        for text in texts:
            self.page.get_by_text(text).first.wait_for()
        said = self.page.inner_text("body")
        assert not [each for each in _SICK if each.lower() in said.lower()], said
        assert not self.complaints, self.complaints
        return said


@pytest.fixture
def looked(browser: Browser) -> Iterator[Looked]:
    made = Looked(browser)
    yield made
    made.page.close()


def test_the_graph_shows_every_group(looked: Looked, dagster: str) -> None:
    said = looked.shows(f"{dagster}/asset-groups", "Global asset lineage", "Materialize all")
    assert {"erp", "bronze", "silver", "gold", "features", "models", "serving"} <= set(said.split())


def test_a_bronze_page_says_whose_the_table_is_and_what_stands_in_its_columns(looked: Looked, dagster: str) -> None:
    said = looked.shows(f"{dagster}/assets/bronze/customer?view=overview", "Owners", "Column name", "email")
    for words in (
        "Description", "Latest materialization", "Row count", "300", "plinth/classification: confidential", "plinth/zone: on_prem",
        "sales-systems", "non-nullable", "bronze.customer", "contract of customer",
    ):  # fmt: skip
        assert words in said, f"{words}\n{said}"


def test_a_gold_page_says_what_each_column_is_and_whence_the_table_comes(looked: Looked, dagster: str) -> None:
    said = looked.shows(f"{dagster}/assets/gold/customer_360?view=overview", "Owners", "Column name", "Upstream assets")
    for words in ("One row for each customer", "customer_no", "plinth/classification: internal", "gold.customer_360", "2 sensors"):  # fmt: skip
        assert words in said, f"{words}\n{said}"
    assert "silver / customers" in said, "what it is made from"


def test_a_model_page_has_its_figures_its_decision_and_its_plot(looked: Looked, dagster: str) -> None:
    said = looked.shows(
        f"{dagster}/assets/models/recommender?view=overview", "recall_at_20", "plot_figures", "decision"
    )
    for words in (
        "ndcg_at_20",
        "there was no champion",
        "champion_version",
        "data-science",
        "Scikit Learn",
        "trained_because",
        "it was never trained",
    ):
        assert words in said, f"{words}\n{said}"
    looked.page.get_by_text("[Show Markdown]").first.click()
    picture = looked.page.locator("img[src^='data:image/png']").first
    picture.wait_for()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 300"), "the plot is drawn"


def test_a_check_says_what_it_found_and_by_which_query(looked: Looked, dagster: str) -> None:
    said = looked.shows(
        f"{dagster}/assets/bronze/invoice_line?view=checks&checkDetail=key_unique",
        "key_unique",
        "Evaluation result",
        "query",
    )
    assert "Passed" in said and "rows_broken" in said
    assert "This is a blocking asset check" in said, said


def test_a_run_is_shown_with_its_steps_and_its_tags(looked: Looked, dagster: str, sample_site: SampleSite) -> None:
    said = looked.shows(f"{dagster}/runs/{sample_site.report['run_id']}", "Success", "STEP_SUCCESS")
    assert "refresh" in said and "View tags and config" in said


def test_jobs_and_automation_are_listed(looked: Looked, dagster: str) -> None:
    said = looked.shows(f"{dagster}/jobs", "refresh", "train")
    assert "ingest" in said
    said = looked.shows(f"{dagster}/automation", "quality_drift", "nightly")
    assert {"data_drift", "downstream_of_bronze", "weekly_training"} <= set(said.split())


def test_the_page_of_the_api_shows_every_operation_and_opens_it(
    looked: Looked, sample_site: SampleSite, tmp_path: Path
) -> None:
    (tmp_path / "api").mkdir()
    server = ApiProcess(tmp_path / "api", sample_site.online)
    server.start()
    try:
        said = looked.shows(f"{server.base}/docs", "/v1/customers/{id}/recommendations", "/health/ready")
        assert "Send what customers and visitors did" in said
        looked.page.locator("summary", has_text="/v1/events").first.click()
        looked.page.get_by_text("events:write").first.wait_for()
        assert looked.page.evaluate("document.styleSheets.length") == 1, "its policy lets its own style in"
        assert not looked.complaints
    finally:
        server.kill()
