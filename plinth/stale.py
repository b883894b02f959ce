"""Which tables no longer follow from their inputs: never made, made by other code, or made from other content.

What belongs here: telling that from the states in the commits alone, without running anything. What does not: legacy tables, which have to be
asked (`plinth.look`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from plinth.lakehouse.tables import TableId
from plinth.platform import Layer

if TYPE_CHECKING:
    from plinth.lakehouse.tables import Lakehouse


def stale_tables(
    lakehouse: Lakehouse, code: Mapping[TableId, str | None], models: Mapping[str, str] | None = None
) -> dict[TableId, str]:
    """The stale ones among some tables, each with the reason in words.

    Args:
        code: the tables that should be there, each with the fingerprint of the code that makes it today; None where it has none.
        models: inputs that are no tables, with the text by which a commit names what it was made from.
    """
    contents: dict[str, str | None] = dict(models or {})

    def content(name: str) -> str | None:
        if name not in contents:
            layer, _, table = name.partition("/")
            found = lakehouse.find(TableId(cast(Layer, layer), table))
            contents[name] = found.content if found is not None else None
        return contents[name]

    stale: dict[TableId, str] = {}
    for table, wanted in code.items():
        held = lakehouse.find(table)
        if held is None:
            stale[table] = "never made"
        elif held.foreign:
            stale[table] = "another tool changed it"
        elif wanted is not None and held.state.code != wanted:
            stale[table] = "its code changed"
        else:
            moved = [name for name, seen in held.state.inputs.items() if content(name) != seen]
            if moved:
                stale[table] = f"{', '.join(moved)} changed"
    return stale
