"""What the API says of itself: figures that add up over processes, lines without personal data, spans where they are wanted."""

from __future__ import annotations

import http.server
import io
import json
import logging
import sys
import threading
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from api.app import Application
from api.telemetry.counters import BUCKETS, ROUTES, Counters, CountersCollector, registry_of
from api.telemetry.log import JsonLines
from api.telemetry.tracing import Traced, provider_of
from plinth.api_settings import Api
from plinth.errors import DriverMissing
from tests.api.conftest import Served, TestClient, bearer
from tests.api.process import ApiProcess


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_requests_by_route_and_status_and_name_nobody(served: Served) -> None:
    for path in ("/v1/customers/1/features", "/v1/customers/2/features", "/v1/customers/Zebra/features", "/v1/Zebra"):
        served.client.get(path)
    text = served.client.get("/metrics").text
    found = samples(text)
    route = ("route", "/v1/customers/{id}/features")
    assert found["plinth_api_requests_total", (route, ("status", "200"))] == 2
    assert found["plinth_api_requests_total", (route, ("status", "404"))] == 1
    assert found["plinth_api_requests_total", (("route", "other"), ("status", "404"))] == 1
    assert found["plinth_api_request_duration_seconds_count", (route,)] == 3
    assert found["plinth_api_request_duration_seconds_bucket", (("le", "+Inf"), route)] == 3
    assert found["plinth_api_served_version", ()] == 1
    assert found["plinth_api_store_answers", ()] == 1
    assert "Zebra" not in text


def test_figures_of_all_processes_are_summed_also_of_those_that_ended(tmp_path: Path) -> None:
    first, second = Counters(tmp_path), Counters(tmp_path)
    for counters, times in ((first, 3), (second, 4)):
        for _ in range(times):
            counters.request(0, 200, 0.003)
        counters.request(0, 418, 99.0)
        counters.add("events_accepted", times)
    del second
    (metric,) = [each for each in CountersCollector(first).collect() if each.name == "plinth_api_requests"]
    assert {sample.labels["status"]: sample.value for sample in metric.samples} == {"200": 7, "other": 2}
    text = {each.name: each for each in registry_of(CountersCollector(first)).collect()}
    assert text["plinth_api_events_accepted"].samples[0].value == 7
    buckets = [s for s in text["plinth_api_request_duration_seconds"].samples if s.name.endswith("_bucket")]
    assert [sample.value for sample in buckets] == [
        0 if bound < 0.003 else 9 if bound == BUCKETS[-1] else 7 for bound in BUCKETS
    ]
    assert buckets[0].labels["route"] == ROUTES[0]


def test_each_request_is_one_line_that_its_answer_names(served: Served) -> None:
    response = served.client.get("/v1/customers/Zebra-4711/features?x=Okapi")
    (line,) = [json.loads(each) for each in served.lines().splitlines() if response.headers["x-request-id"] in each]
    assert (line["route"], line["status"], line["method"]) == ("/v1/customers/{id}/features", 404, "GET")
    assert line["key"] == served.key.key.id
    assert line["ms"] > 0
    assert "Zebra" not in served.lines() and "Okapi" not in served.lines()


def test_an_error_is_logged_by_its_type_and_places_without_its_message() -> None:
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    handler.setFormatter(JsonLines())
    logger = logging.Logger("alone")
    logger.addHandler(handler)
    try:
        raise ValueError("customer Zebra-4711")
    except ValueError:
        logger.exception("it failed")
    said = json.loads(log.getvalue())
    assert said["event"] == "it failed"
    assert said["error"] == "builtins.ValueError"
    assert "test_telemetry.py" in said["at"][0]
    assert "Zebra" not in log.getvalue()


def test_a_fault_of_ours_is_a_problem_that_says_nothing_of_the_inside(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(kind: str, key: str) -> bytes:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(served.application.worker, "fetch", fail)
    response = served.client.get("/v1/customers/1/features?slow")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "urn:plinth:problem:internal"
    assert "inside" not in response.text
    assert served.client.get("/v1/customers/1/promotions").status_code == 200


def test_spans_have_the_template_and_go_on_with_the_caller_s_trace(served: Served) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace = "0af7651916cd43dd8448eb211c80319c"
    # The application runs already: spans are put around it as its settings would have done.
    client = TestClient(Traced(served.application, provider))
    sent = {**bearer(served.key.text), "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    for path in ("/v1/customers/Zebra/recommendations", "/v1/customers/1/recommendations", "/v1/Zebra?x=Zebra"):
        client.get(path, headers=sent)
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["GET /v1/customers/{id}/recommendations"] * 2 + ["GET other"]
    assert {f"{span.context.trace_id:032x}" for span in spans} == {trace}
    attributes = dict(spans[1].attributes or {})
    assert attributes["http.response.status_code"] == 200
    assert attributes["plinth.key"] == served.key.key.id
    assert "Zebra" not in "".join(span.to_json() for span in spans)


@pytest.mark.slow
def test_a_collector_is_sent_the_spans_of_the_server_before_it_ends(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    sent: list[tuple[str, bytes]] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
        server = ApiProcess(tmp_path, store_url, tracing="otlp", drain_seconds=0)
        server.start()
        try:
            with server.client() as client:
                asked = client.get("/v1/customers/1/recommendations")
                assert asked.status_code == 200
        finally:
            server.terminate()
        collector.shutdown()
    assert {path for path, _ in sent} == {"/v1/traces"}
    resources = [each for _, body in sent for each in ExportTraceServiceRequest.FromString(body).resource_spans]
    named = {pair.value.string_value for each in resources for pair in each.resource.attributes}
    assert "plinth-api" in named
    spans = [span for each in resources for scope in each.scope_spans for span in scope.spans]
    (span,) = [each for each in spans if each.name == "GET /v1/customers/{id}/recommendations"]
    said = {pair.key: pair.value.string_value for pair in span.attributes}
    assert said["plinth.request"] == asked.headers["x-request-id"]


def test_traces_without_their_library_are_refused_with_the_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
        with pytest.raises(DriverMissing, match=r"requirements/tracing\.lock"):
            provider_of("otlp")
    application = Application(f"sqlite:///{tmp_path / 'o.db'}", Api(tracing="console"), counters=tmp_path / "c")
    assert isinstance(application.asgi, Traced)
