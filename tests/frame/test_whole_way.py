"""The whole way of the data, as a new user goes it: a legacy system, one run, the API on what it published, an event, another list."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.process import ApiProcess
from tests.frame.sample_site import SampleSite

pytestmark = pytest.mark.slow

MODELS = {"recommender", "propensity"}
"""What is learnt of so few customers; an uplift wants more contacts."""


def test_from_a_legacy_system_to_a_list_that_an_event_changes(sample_site: SampleSite, tmp_path: Path) -> None:
    report = sample_site.report
    assert {model["model"] for model in report["models"]} == MODELS
    customer = report["online"]["customers"][0]

    (tmp_path / "api").mkdir()
    server = ApiProcess(tmp_path / "api", sample_site.online)
    server.start()
    try:
        with server.client() as client:
            path = f"/v1/customers/{customer}/recommendations"
            before = [row["item"] for row in client.get(path).json()["items"]]
            assert len(before) == 20
            for about in (
                f"customers/{customer}/features",
                f"customers/{customer}/items",
                f"items/{before[0]}/features",
            ):
                assert client.get(f"/v1/{about}").status_code == 200
            similar = client.get(f"/v1/items/{before[0]}/similar").json()["items"]
            seen = [row["item"] for row in similar if row["item"] not in before][:3]
            assert seen, "goods that go with the first of the list and are not in it"
            events = [
                {"id": f"e-{number}", "customer": str(customer), "item": item, "kind": "view"}
                for number, item in enumerate(seen)
            ]
            assert client.post("/v1/events", json={"events": events}).status_code == 200
            after = [row["item"] for row in client.get(path).json()["items"]]
        assert len(after) == 20 and after != before
    finally:
        server.kill()
