"""The chart rendered by Helm's own engine, with each values file and what whoever deploys has to add to it.

`python -m tests.deploy.rendering` writes the golden renders anew; read the difference before you commit it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

CHART = Path(__file__).resolve().parents[2] / "deploy" / "chart"
GOLDEN = Path(__file__).resolve().parent / "golden"
NAMESPACE = "data"

IMAGES = ("platform", "api", "spark", "ray", "proxy", "postgres")
# Digests are whoever deploys' own; a render needs some.
GIVEN: Mapping[str, Any] = {
    "images": {
        "registry": "mirror.example.com",
        **{name: {"digest": f"sha256:{number:064x}"} for number, name in enumerate(IMAGES, start=1)},
    }
}

STEPS = "data-steps"

# The values files as they are, and production with the engines and the second namespace that no values file switches on.
CASES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "trial": ("trial", {}),
    "production": ("production", {}),
    "hybrid": ("hybrid", {}),
    "engines": (
        "production",
        {
            "spark": {"enabled": True},
            "ray": {"enabled": True},
            "data": {"kind": "claim", "accessModes": ["ReadWriteMany"]},
            "locations": {
                "plinth": {"image": "spark"},
                "training": {"image": "ray", "podLabels": {"azure.workload.identity/use": "true"}},
            },
        },
    ),
    "apart": ("production", {"runs": {"stepsNamespace": STEPS}}),
}

Manifest = dict[str, Any]


def over(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Values laid over values, key by key, as Helm does with several values files."""
    merged = dict(base)
    for key, value in more.items():
        below = merged.get(key)
        merged[key] = over(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def values_of(case: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The values of a case."""
    file, added = CASES[case]
    stored = yaml.safe_load((CHART / "values" / f"{file}.yaml").read_text(encoding="utf-8"))
    return over(over(over(stored, GIVEN), added), more or {})


def render(values: Mapping[str, Any], name: str = "plinth") -> list[Manifest]:
    """The manifests in a fixed order.

    Raises:
        helm.HelmError: the values or a template are wrong.
    """
    with helm.Chart.load(str(CHART)) as chart:
        rendered = chart.render(dict(values), name=name, namespace=NAMESPACE)
    texts = (text for path, text in sorted(rendered.items()) if not path.endswith(".txt"))
    manifests = [manifest for text in texts for manifest in yaml.safe_load_all(text) if manifest]
    return sorted(
        manifests, key=lambda each: (each["metadata"].get("namespace", ""), each["kind"], each["metadata"]["name"])
    )


@cache
def rendered(case: str) -> tuple[Manifest, ...]:
    """The manifests of a case; whoever asks must leave them as they are."""
    return tuple(render(values_of(case)))


def of_kind(manifests: tuple[Manifest, ...] | list[Manifest], *kinds: str) -> list[Manifest]:
    """Those of some kinds."""
    return [each for each in manifests if each["kind"] in kinds]


def within(manifests: tuple[Manifest, ...] | list[Manifest], namespace: str = NAMESPACE) -> list[Manifest]:
    """Those of a namespace; the release's own by default."""
    return [each for each in manifests if each["metadata"].get("namespace", NAMESPACE) == namespace]


def rights(role: Manifest) -> dict[tuple[str, str], set[str]]:
    """What a Role allows: verbs by group and resource."""
    return {
        (group, name): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for name in rule["resources"]
    }


def as_text(manifests: tuple[Manifest, ...]) -> str:
    """One text that people can compare line by line."""
    return yaml.safe_dump_all(manifests, sort_keys=False, width=160)


def main() -> None:
    """Writes the golden renders."""
    GOLDEN.mkdir(exist_ok=True)
    for case in CASES:
        (GOLDEN / f"{case}.yaml").write_text(as_text(rendered(case)), encoding="utf-8")


if __name__ == "__main__":
    main()
