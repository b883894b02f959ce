"""The form of a batch of events, checked to the last character before anything of it reaches the store.

All or nothing: one wrong event refuses the batch, and the answer says which and why. Ids have a narrow alphabet: no control
characters, no blanks around, nothing that a database, a log or a terminal could take for more than a name.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from plinth.online import Event

ID_PATTERN = r"^[A-Za-z0-9_.:@+-]{1,64}$"
# Also marks that stand apart from their letters, and what names of ISO 3166 and of accounts hold: "Bolivia, Plurinational State of", "Bosnia & Herzegovina".
COUNTRY_PATTERN = "^[^\\W\\d_](?:[^\\W\\d_]|[\u0300-\u036f .,'\u2019&()/-]){0,63}$"

Identity = Annotated[str, Field(pattern=ID_PATTERN)]
EventId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:@+-]{1,128}$")]
Country = Annotated[str, Field(pattern=COUNTRY_PATTERN, examples=["United Kingdom"])]

WEIGHTS = {"view": 1.0, "cart": 2.0, "purchase": 3.0}
"""How much an event of each kind says about what its visitor wants next."""

_EXAMPLE: dict[str, Any] = {
    "id": "7b1c", "customer": "12347", "item": "85123A", "kind": "view",
}  # fmt: skip


class VisitorEvent(BaseModel):
    """Something that a customer or a visitor without a customer did to an item."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [_EXAMPLE]},
    )

    id: EventId = Field(description="The sender's id of the event; sent again, it counts once.")
    customer: Identity | None = Field(default=None, description="Customer, where it is known.")
    session: Identity | None = Field(default=None, description="Session, where it is known. One of both is needed.")
    item: Identity = Field(description="Item that it was done to.")
    kind: Literal["view", "cart", "purchase"]
    at: AwareDatetime | None = Field(
        default=None,
        description="When it happened; by default when it arrived. What happened more than `api.session_hours` before is kept and changes no list.",
        examples=["2026-07-29T10:15:00Z"],
    )

    @model_validator(mode="after")
    def _somebody(self) -> VisitorEvent:
        if self.customer is None and self.session is None:
            raise ValueError("a customer or a session is expected")
        if self.at is not None and not 1970 < self.at.year < 9999:
            raise ValueError("a time between the years 1971 and 9998 is expected")
        return self

    def stored(self) -> Event:
        """The event as the store takes it."""
        at = datetime.now(UTC) if self.at is None else self.at.astimezone(UTC)
        body = self.model_dump_json(exclude_none=True).encode()
        return Event(self.id, self.customer, self.session, self.item, self.kind, at, body)


class EventBatch(BaseModel):
    """Events of one request."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [{"events": [_EXAMPLE]}]})

    events: list[VisitorEvent] = Field(min_length=1, max_length=10_000)


class EventReceipt(BaseModel):
    """What was made of a batch. Everything in it is durable."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"accepted": ["7b1c"], "repeated": []}]})

    accepted: list[str] = Field(description="Ids of the events that are new.")
    repeated: list[str] = Field(description="Ids of the events that were known before; nothing was changed by them.")
