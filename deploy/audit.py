"""Whether a locked package has a known vulnerability: pip-audit over the locks, and what this project says of its answer.

    python deploy/audit.py requirements/image_spark.lock requirements/api.lock requirements/dev.lock

What belongs here: which pins are asked for, which findings are accepted (accepted_vulnerabilities.yaml), and the verdict. What does not: knowing
vulnerabilities. An advisory service that cannot be reached, or that knows none of the packages, is told plainly and fails nothing: without that
a mirror that answers 404 passes for a clean bill. Exit code 1: a vulnerability that is not accepted, or an acceptance that has run out.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ACCEPTED = Path(__file__).with_name("accepted_vulnerabilities.yaml")
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^\s;\\]+)")
_ANSWER_SECONDS = 900


@dataclass(frozen=True)
class Finding:
    """One vulnerability of one pinned package, with the names that it goes by and the versions that mend it."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    mended_in: tuple[str, ...]

    def __str__(self) -> str:
        mended = f"mended in {', '.join(self.mended_in)}" if self.mended_in else "no version mends it yet"
        return f"{self.package} {self.version}: {', '.join((self.id, *self.aliases))} ({mended})"


@dataclass(frozen=True)
class Acceptance:
    """A finding that is let pass until a day."""

    id: str
    package: str
    reason: str
    until: dt.date

    def covers(self, finding: Finding) -> bool:
        return self.package == finding.package and self.id in (finding.id, *finding.aliases)


@dataclass
class Answer:
    """What the advisory service said: findings, the packages that it does not know, and of how many (`silent`) it could not be asked, and why."""

    asked: int = 0
    silent: int = 0
    findings: list[Finding] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    away: str = ""


def pins_of(locks: Iterable[Path]) -> list[tuple[str, str]]:
    """Every pinned package and version of some locks, once."""
    lines = (line for lock in locks for line in lock.read_text(encoding="utf-8").splitlines())
    found = (_PIN.match(line) for line in lines)
    return sorted({(match[1].lower(), match[2]) for match in found if match})


def ask(pins: Sequence[tuple[str, str]], service: Sequence[str]) -> Answer:
    """Asks pip-audit. One name may be pinned in two versions by two locks, which it takes only in two rounds."""
    answer = Answer(len(pins))
    rounds: list[dict[str, str]] = []
    for name, version in pins:
        free = next((each for each in rounds if name not in each), None)
        if free is None:
            free = {}
            rounds.append(free)
        free[name] = version
    for each in rounds:
        _ask(each, service, answer)
    return answer


def _ask(pins: dict[str, str], service: Sequence[str], answer: Answer) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("".join(f"{name}=={version}\n" for name, version in pins.items()))
        file.flush()
        options = ["--disable-pip", "--no-deps", "--progress-spinner=off", "--format=json", "--timeout=15", *service]
        command = [sys.executable, "-m", "pip_audit", *options, "--requirement", file.name]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            answer.away, answer.silent = f"no answer within {_ANSWER_SECONDS} s", answer.silent + len(pins)
            return
    if not done.stdout.startswith("{"):
        last = [line for line in done.stderr.strip().splitlines() if line.strip()]
        answer.away = last[-1] if last else f"pip-audit ended with {done.returncode}"
        answer.silent += len(pins)
        return
    for package in json.loads(done.stdout)["dependencies"]:
        if "skip_reason" in package:
            answer.unknown.append(package["name"])
        for found in package.get("vulns", ()):
            named = tuple(found.get("aliases", ())), tuple(found.get("fix_versions", ()))
            answer.findings.append(Finding(package["name"], package["version"], found["id"], *named))


def accepted(file: Path = ACCEPTED) -> list[Acceptance]:
    """The entries of the file.

    Raises:
        SystemExit: an entry lacks its reason or its day.
    """
    entries = yaml.safe_load(file.read_text(encoding="utf-8"))["accepted"]
    for entry in entries:
        if (
            set(entry) != {"id", "package", "reason", "until"}
            or not str(entry["reason"]).strip()
            or not isinstance(entry["until"], dt.date)
        ):
            raise SystemExit(f"{file}: id, package, reason and until (a day, YYYY-MM-DD) are expected, found {entry}")
    return [Acceptance(**entry) for entry in entries]


def verdict(answer: Answer, allowed: Sequence[Acceptance], today: dt.date) -> tuple[list[str], bool]:
    """What to say, and whether it is a failure. What was found is judged first: a service that goes away after one round hides none of it."""
    said, fails = _judged(answer, allowed, today)
    if answer.silent:
        said.append(
            f"NOT AUDITED: the advisory service cannot be reached ({answer.away}). Nothing is known of {answer.silent} of {answer.asked} packages."
        )
        return said, fails
    if len(answer.unknown) == answer.asked:
        return [
            f"NOT AUDITED: the advisory service knows none of the {answer.asked} packages (a mirror without advisories?)."
        ], False
    if answer.unknown:
        said.append(f"not known to the advisory service, so not audited: {', '.join(sorted(answer.unknown))}")
    idle = [each for each in allowed if not any(each.covers(finding) for finding in answer.findings)]
    said += [f"accepted, and found no more: {each.package} {each.id}; take the entry away" for each in idle]
    known = answer.asked - len(answer.unknown)
    said.append(f"{known} packages audited, {len(answer.findings)} vulnerabilities found")
    return said, fails


def _judged(answer: Answer, allowed: Sequence[Acceptance], today: dt.date) -> tuple[list[str], bool]:
    said, fails = [], False
    for finding in sorted(answer.findings, key=str):
        entry = next((each for each in allowed if each.covers(finding)), None)
        if entry is None:
            said.append(f"VULNERABLE {finding}")
        elif entry.until < today:
            said.append(f"VULNERABLE {finding}; its acceptance ended on {entry.until}")
        else:
            said.append(f"accepted until {entry.until}: {finding}: {entry.reason}")
        fails |= entry is None or entry.until < today
    return said, fails


def main() -> int:
    """Asks, prints, and gives the exit code."""
    parser = argparse.ArgumentParser(description="Known vulnerabilities of locked packages.")
    parser.add_argument("locks", nargs="+", type=Path)
    parser.add_argument("--osv-url", help="ask this OSV service instead of the package index")
    parser.add_argument("--accepted", type=Path, default=ACCEPTED)
    given = parser.parse_args()
    service = ["--vulnerability-service=osv", f"--osv-url={given.osv_url}"] if given.osv_url else []
    allowed = accepted(given.accepted)
    said, fails = verdict(ask(pins_of(given.locks), service), allowed, dt.datetime.now(dt.UTC).date())
    print("\n".join(said))
    return int(fails)


if __name__ == "__main__":
    sys.exit(main())
