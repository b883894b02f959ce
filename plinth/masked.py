"""What DuckDB says of a fault, without the values of rows that it quotes.

What belongs here: leaving them out. What does not: what the fault means (`plinth.sources.faults`, `plinth.objects.faults`).
"""

from __future__ import annotations

import re

# From the first quote to the last: a name may have an apostrophe in it, and the first line of a value may not be its last.
_VALUES = r"'.*'|'.*$|(?<![A-Za-z(])-?\d[\d.,:-]*\d|\d{5,}"
_NAMES_ONLY = re.compile(r"\b(Binder|Catalog|Parser) Error\b")
"""Errors of the query itself: what stands in double quotes there are names, in all others it may be a value too."""


def without_values(text: str) -> str:
    """One line of what DuckDB says, with all that may be a row's value left out: a run's history is cleared for less than its tables are."""
    doubled = r'"[^"]*@[^"]*"' if _NAMES_ONLY.search(text) else r'".*"|".*$'
    return re.sub(f"{_VALUES}|{doubled}", "…", text)
