"""What visitors did in the last hours, and the lists that follow from it.

An event adds a row of the item-item model to its visitor's state, and the visitor's list is made anew at once: the next request finds
it lying ready. A new version brings another model and other stored lists, and the events stay: what somebody does in the evening still counts
after the night's publish, since no model learns from it.

What was bought leaves the visitor's list: nobody wants it again within the hour, and when it is due again the next versions know. What was
looked at or lies in the cart stays where it stands, because whoever looks has not bought yet, and a cart may be left behind.

Bounds, for each worker: `api.sessions` customers and as many sessions, of each the last 30 events, until `api.session_hours` after the last one;
those who did nothing for the longest time are forgotten first. A state is an array over all items, so only the 2,000 customers who were last active keep theirs and their list;
for another one both are made again when they are asked for.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from api.events.batch import WEIGHTS
from api.served.lists import blended, body_of, popular, stored
from api.served.shelf import Ready, Shelf
from plinth.online import Event, StoredEvent
from plinth.recommend.session import WINDOW, SessionState
from plinth.serving.lengths import ANSWER_LENGTH

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_LIVELY = 2_000
_AT_ONCE = 8


class Visitor:
    """The events of one customer or session (item, weight, whether it was bought), and the state that they make with the served version's model."""

    __slots__ = ("events", "last", "state")

    def __init__(self) -> None:
        self.events: deque[tuple[str, float, bool]] = deque(maxlen=WINDOW)
        self.last = _BEGINNING
        self.state: SessionState | None = None

    def add(self, event: Event | StoredEvent, at: datetime) -> None:
        """Takes an event into the record, and into the state where there is one."""
        weight, bought = WEIGHTS.get(event.kind, 1.0), event.kind == "purchase"
        self.events.append((event.item, weight, bought))
        self.last = max(self.last, at)
        if self.state is not None:
            self.state.add(event.item, weight, taken=bought)

    def session(self, shelf: Shelf) -> SessionState | None:
        """The state, made where it is missing; None where the version has no model."""
        if self.state is None and shelf.model is not None:
            self.state = SessionState(shelf.model)
            for item, weight, bought in self.events:
                self.state.add(item, weight, taken=bought)
        return self.state


class Live:
    """All visitors with events that count.

    `lists` holds the answer of each customer whose events were blended; the fast lane reads it before the shelf. A customer in
    `customers` without a list there has one made by `list_of`. `changed` is called with each customer whose list is another one now.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.customers: OrderedDict[str, Visitor] = OrderedDict()
        self.sessions: OrderedDict[str, Visitor] = OrderedDict()
        self.lists: dict[str, Ready] = {}
        self.changed: Callable[[str], None] = lambda customer: None
        self._lively: OrderedDict[str, Visitor] = OrderedDict()

    def apply(self, event: Event | StoredEvent, at: datetime | None = None) -> None:
        """Takes an event that is durable; `at` is when it became so. The customer's list is made anew by whoever asks next, or by `renew`."""
        moment = at or datetime.now(UTC)
        if event.session is not None:
            self._visitor(self.sessions, event.session).add(event, moment)
        if event.customer is not None:
            self._visitor(self.customers, event.customer).add(event, moment)
            self.lists.pop(event.customer, None)
            self.changed(event.customer)

    def renew(self, events: Sequence[Event], shelf: Shelf) -> None:
        """Makes the lists of a request's customers at once, so that the next request finds them ready.

        Of a large batch they are left to who asks: making hundreds of lists would hold up everybody else meanwhile.
        """
        customers = {event.customer for event in events if event.customer is not None}
        if len(customers) > _AT_ONCE:
            return
        for customer in customers:
            base = shelf.list_of(customer)
            if base is not None:
                self.list_of(customer, shelf, base)

    def list_of(self, customer: str, shelf: Shelf, base: Sequence[bytes], country: str | None = None) -> Ready | None:
        """The list of a customer with events, made where it is not there; None where the customer has no events, or the version no model.

        Args:
            base: the documents of the customer's whole stored list; none for a customer of whom nothing is stored.
            country: where a customer is of whom nothing is stored. Such a list is made for this one answer: the next may name another.
        """
        if country is not None and not base:
            return self.rows_of(customer, shelf, base, ANSWER_LENGTH, country)
        made = self.lists.get(customer)
        if made is None:
            made = self.rows_of(customer, shelf, base, ANSWER_LENGTH)
            if made is not None:
                self.lists[customer] = made
        return made

    def rows_of(
        self, customer: str, shelf: Shelf, base: Sequence[bytes], rows: int, country: str | None = None
    ) -> Ready | None:
        """As `list_of`, with another number of rows than is sent by itself; it is made for this one answer."""
        visitor = self.customers.get(customer)
        state = None if visitor is None else self._state(customer, visitor, shelf)
        if visitor is None or state is None:
            return None
        suggested = stored(*base) if base else popular(shelf, country) or []
        head = {"customer": customer, "session_events": len(visitor.events)}
        return shelf.wrap(
            body_of(head if base else {**head, "cold_start": True}, blended(shelf, suggested, state, rows))
        )

    def session_of(self, session: str) -> Sequence[tuple[str, float, bool]]:
        """What a session did: items, weights and whether each was bought, oldest first."""
        visitor = self.sessions.get(session)
        return [] if visitor is None else list(visitor.events)

    def new_version(self) -> None:
        """Forgets all that was made with the model and the lists of the version before. What visitors did stays."""
        for visitor in self._lively.values():
            visitor.state = None
        self._lively.clear()
        self.lists.clear()

    def expire(self, before: datetime) -> None:
        """Forgets who did nothing since a moment."""
        for visitors in (self.customers, self.sessions):
            while visitors and next(iter(visitors.values())).last <= before:
                self._forget_first(visitors)

    def clear(self) -> None:
        """Forgets everybody."""
        for visitors in (self.customers, self.sessions):
            while visitors:
                self._forget_first(visitors)

    def _state(self, customer: str, visitor: Visitor, shelf: Shelf) -> SessionState | None:
        """The state of a customer, who is one of the lively with it."""
        state = visitor.session(shelf)
        if state is not None:
            self._lively[customer] = visitor
            self._lively.move_to_end(customer)
            if len(self._lively) > _LIVELY:
                calm, who = self._lively.popitem(last=False)
                who.state = None
                self.lists.pop(calm, None)
        return state

    def _visitor(self, visitors: OrderedDict[str, Visitor], name: str) -> Visitor:
        visitor = visitors.get(name)
        if visitor is None:
            visitor = visitors[name] = Visitor()
            if len(visitors) > self._limit:
                self._forget_first(visitors)
        else:
            visitors.move_to_end(name)
        return visitor

    def _forget_first(self, visitors: OrderedDict[str, Visitor]) -> None:
        gone, _ = visitors.popitem(last=False)
        if visitors is self.customers:
            self.lists.pop(gone, None)
            self._lively.pop(gone, None)
            self.changed(gone)
