"""Figures as people read them.

What belongs here: units. What does not: where figures are printed.
"""

from __future__ import annotations


def size_for_people(size: int) -> str:
    """Bytes in a unit that leaves something to see: `2.5 MiB`, `1.2 KiB`, `0 B`."""
    if size >= 2**20:
        return f"{size / 2**20:,.1f} MiB"
    return f"{size / 2**10:,.1f} KiB" if size >= 2**10 else f"{size} B"
