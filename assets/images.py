"""A PNG as an asset's page shows it: in the text of the metadata, so that it needs no file beside it."""

from __future__ import annotations

import base64

import dagster as dg


def image(name: str, png: bytes) -> dg.MarkdownMetadataValue:
    """The picture as Markdown."""
    return dg.MetadataValue.md(f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})")
