"""The audit of the locks, by pip-audit itself, against advisory services that know, that do not, and that are away."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.servers.ports import free_port

HOME = Path(__file__).resolve().parents[2]
LOCK = "attrs==26.1.0 \\\n    --hash=sha256:00\nhttpx==0.1.0 ; python_version < '3.14' \\\n    --hash=sha256:00\n"
ADVISORY = {
    "id": "GHSA-test-0001",
    "aliases": ["CVE-2026-0001"],
    "modified": "2026-01-01T00:00:00Z",
    "summary": "a header is believed",
    "affected": [
        {
            "package": {"name": "httpx", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "0.2.0"}]}],
        }
    ],
}


@pytest.fixture
def advisories() -> Iterator[str]:
    """A server that speaks OSV and knows of one vulnerability."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if asked["version"] == "0.3.0":
                self.send_error(503)
                return
            body = json.dumps({"vulns": [ADVISORY]} if asked["package"]["name"] == "httpx" else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def audit(folder: Path, url: str, accepted: str = "[]", lock: str = LOCK) -> tuple[int, str]:
    (folder / "some.lock").write_text(lock, encoding="utf-8")
    (folder / "accepted.yaml").write_text(f"accepted: {accepted}\n", encoding="utf-8")
    command = [sys.executable, str(HOME / "deploy" / "audit.py"), str(folder / "some.lock")]
    done = subprocess.run(
        [*command, "--accepted", str(folder / "accepted.yaml"), "--osv-url", url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_vulnerability_fails_with_its_names_and_the_version_that_mends_it(tmp_path: Path, advisories: str) -> None:
    code, said = audit(tmp_path, advisories)
    assert code == 1
    assert "VULNERABLE httpx 0.1.0" in said and "CVE-2026-0001" in said and "mended in 0.2.0" in said
    assert "2 packages audited, 1 vulnerabilities found" in said


def test_an_accepted_one_passes_until_its_day(tmp_path: Path, advisories: str) -> None:
    entry = "[{{id: CVE-2026-0001, package: httpx, reason: not called here, until: {}}}]"
    code, said = audit(tmp_path, advisories, entry.format("2999-01-01"))
    assert code == 0 and "accepted until 2999-01-01" in said and "not called here" in said
    code, said = audit(tmp_path, advisories, entry.format("2020-01-01"))
    assert code == 1 and "its acceptance ended on 2020-01-01" in said


def test_an_acceptance_without_a_reason_or_a_day_is_refused(tmp_path: Path, advisories: str) -> None:
    code, said = audit(tmp_path, advisories, "[{id: CVE-2026-0001, package: httpx, until: 2999-01-01}]")
    assert code == 1 and "reason and until" in said


@pytest.mark.slow
def test_a_service_that_is_away_is_told_and_fails_nothing(tmp_path: Path) -> None:
    code, said = audit(tmp_path, f"http://127.0.0.1:{free_port()}/v1/query")
    assert code == 0 and said.startswith("NOT AUDITED") and "2 packages" in said


def test_a_service_that_goes_away_after_a_round_hides_nothing_that_it_said(tmp_path: Path, advisories: str) -> None:
    # The second version of a name is asked for in a second round.
    code, said = audit(tmp_path, advisories, lock=f"{LOCK}httpx==0.3.0\n")
    assert code == 1 and "VULNERABLE httpx 0.1.0" in said
    assert "NOT AUDITED" in said and "1 of 3 packages" in said
