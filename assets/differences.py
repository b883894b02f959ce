"""How values that are not the same offline and online are shown.

What belongs here: their metadata. What does not: finding them (`plinth.features.skew`, `plinth.serving.skew`).
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.metadata import RawMetadataValue

from plinth.features.skew import Difference, worst


def difference_metadata(differences: Sequence[Difference]) -> dict[str, RawMetadataValue]:
    """How many values differ, and the first of them."""
    told: dict[str, RawMetadataValue] = {"values_that_differ": len(differences)}
    if differences:
        told["worst_relative_difference"] = min(worst(differences), 1e300)
        told["differences"] = dg.MetadataValue.md(
            "\n".join(
                f"- {dict(each.entity)} {each.feature}: offline {each.offline}, online {each.online}"
                for each in differences[:20]
            )
        )
    return told
