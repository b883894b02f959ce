"""How much of a view of pairs is served: a part of a declaration.

What belongs here: the bound and what holds for it. What does not: the declaration as a whole (`declare`), and the documents (`plinth.serving`).
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from plinth.contracts.naming import near


class OnlineRows(BaseModel):
    """Of each value of the first key column the `most` rows whose feature `order` is greatest are served.

    Of rows with equal values those come first whose other keys do; rows without a value come last. A customer may stand to thousands of items:
    a document without a bound would grow with them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    most: int = Field(ge=1, le=200)
    order: str

    def check(self, *, keys: int, numbers: Sequence[str]) -> None:
        """Holds the bound against its view.

        Args:
            keys: how many columns the entity has.
            numbers: the view's features that are numbers.

        Raises:
            ValueError: the entity has one row anyhow, or `order` is none of the numbers.
        """
        if keys < 2:
            raise ValueError("online: true or false is expected, as an entity of one column has one row")
        if self.order not in numbers:
            raise ValueError(
                f"online.order: a feature that is a number is expected, one of {', '.join(numbers) or 'which there is none'}; "
                f"found {self.order!r}{near(self.order, numbers)}"
            )
