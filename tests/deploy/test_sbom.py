"""The bill of materials of an image lists what its lock pins, each by a name that tools look up and by its hashes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]


def test_the_bill_of_the_api_lists_every_pin_of_its_lock(tmp_path: Path) -> None:
    lock, bill = HOME / "requirements" / "api.lock", tmp_path / "api.cdx.json"
    command = [
        str(Path(sys.executable).with_name("cyclonedx-py")),
        "requirements",
        "--output-reproducible",
        "--pyproject",
    ]
    subprocess.run(
        [*command, str(HOME / "pyproject.toml"), "--output-file", str(bill), str(lock)],
        check=True,
        timeout=120,
        capture_output=True,
    )
    found = json.loads(bill.read_text(encoding="utf-8"))
    pins = [
        line.split(";")[0].rstrip(" \\")
        for line in lock.read_text(encoding="utf-8").splitlines()
        if "==" in line and line[0].isalnum()
    ]
    assert found["bomFormat"] == "CycloneDX" and found["metadata"]["component"]["name"] == "plinth"
    assert sorted(f"{each['name']}=={each['version']}" for each in found["components"]) == sorted(
        pin.split("[")[0] if "[" not in pin else pin.replace(pin[pin.index("[") : pin.index("]") + 1], "")
        for pin in pins
    )
    for each in found["components"]:
        assert each["purl"].startswith("pkg:pypi/")
        hashes = [found for reference in each["externalReferences"] for found in reference.get("hashes", ())]
        assert any(one["alg"] == "SHA-256" for one in hashes), each["name"]


def test_what_the_images_hold_is_what_the_suite_runs_on() -> None:
    def pins(name: str) -> dict[str, str]:
        lines = (HOME / name).read_text(encoding="utf-8").splitlines()
        split = (line.split(";")[0].rstrip(" \\").split("==") for line in lines if "==" in line and line[0].isalnum())
        return {each[0].split("[")[0]: each[1] for each in split}

    tested = pins("requirements/dev.lock")
    for image in ("api", "image", "image_spark", "image_ray"):
        held = pins(f"requirements/{image}.lock")
        both = {name for name in held if name in tested}
        assert len(both) > 20
        assert {name: held[name] for name in both} == {name: tested[name] for name in both}, image
