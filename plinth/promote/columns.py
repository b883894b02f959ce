"""Tables to matrices and back: which columns a model learns from, in which order, and what is missing.

What belongs here: the checks on a model's input columns. What does not: how features are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from plinth.promote.errors import ExamplesUnusable

if TYPE_CHECKING:
    import pyarrow as pa

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
KEYS = ("customer", "customer_no", "at", "bought")


def feature_names(table: pa.Table, without: Sequence[str] = KEYS) -> tuple[str, ...]:
    """The numeric and boolean columns of a table, but for the named ones, in the order of the alphabet.

    Raises:
        ExamplesUnusable: there is none.
    """
    import pyarrow.types as types

    kinds = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    names = sorted(
        field.name for field in table.schema if field.name not in without and any(kind(field.type) for kind in kinds)
    )
    if not names:
        raise ExamplesUnusable(
            "the table has no column to learn from", expected="numeric columns", found=table.column_names
        )
    return tuple(names)


def matrix(table: pa.Table, names: Sequence[str]) -> Array:
    """The named columns as a matrix of float64, rows as in the table, nulls as NaN.

    Raises:
        ExamplesUnusable: the table lacks one of them.
    """
    require(table, names)
    found = np.empty((table.num_rows, len(names)), dtype=np.float64)
    for place, name in enumerate(names):
        found[:, place] = numbers(table, name)
    return found


def numbers(table: pa.Table, name: str) -> Array:
    """One column as float64, nulls as NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column: Any = table[name]
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def require(table: pa.Table, names: Sequence[str]) -> None:
    """Holds a table to the columns that it must have.

    Raises:
        ExamplesUnusable: it lacks one of them.
    """
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise ExamplesUnusable(
            "the table lacks columns",
            expected=", ".join(missing),
            found=", ".join(table.column_names),
            remedy="give the columns that the model was trained on, or train it again on those that there are",
        )
