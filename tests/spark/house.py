"""Platforms in folders of their own, with a profile whose engine is Spark."""

from __future__ import annotations

from pathlib import Path

from plinth.platform import Platform, load_platform

ROOT = Path(__file__).resolve().parents[2]


def platform_in(folder: Path, engine: str = "spark", spark: str = "") -> Platform:
    """The project's platform with its data in a folder.

    Args:
        engine: of the default profile.
        spark: YAML of the section `spark`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    overlay = folder / "platform.yaml"
    overlay.write_text(
        f"zones:\n  on_prem: {{root: {folder}/on_prem}}\n  cloud: {{root: {folder}/cloud}}\n"
        f"stores: {{report: {folder}/report.json, scratch: {folder}/scratch}}\n"
        f"sources:\n  erp: {{url: 'sqlite:///{folder}/erp.sqlite'}}\n"
        f"profiles:\n  spark: {{cpu: 2, memory: 2GiB, threads: 2, engine: {engine}}}\n"
        f"default_profile: spark\n{spark}"
    )
    return load_platform(ROOT / "platform.yaml", overlay)
