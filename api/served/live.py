"""What visitors did since the version was published, and the lists that follow from it.

An event adds a row of the item-item model to its visitor's state, and the visitor's list is made anew at once: the next request finds
it lying ready. With the next version, which knows the event's effects or has outlived them, the visitor starts over.

Bounds, for each worker: `api.sessions` customers and as many sessions, of each the last 30 events; those who did nothing for the longest
time are forgotten first. A state is an array over all items, so only the 2,000 customers who were last active keep theirs and their list;
for another one both are made again when they are asked for.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from api.events.batch import WEIGHTS
from api.served.lists import Suggestion, blended, body_of, popular, stored
from api.served.shelf import Ready, Shelf
from plinth.online import Event, StoredEvent
from plinth.recommend.session import SessionState
from plinth.serving.lengths import ANSWER_LENGTH

_EVENTS_EACH = 30
_LIVELY = 2_000
_AT_ONCE = 8


class Visitor:
    """The events of one customer or session, and the state that they make with the model of the served version."""

    __slots__ = ("events", "state")

    def __init__(self) -> None:
        self.events: deque[tuple[str, float, datetime]] = deque(maxlen=_EVENTS_EACH)
        self.state: SessionState | None = None

    def add(self, item: str, weight: float, at: datetime) -> None:
        """Takes an event into the record, and into the state where there is one."""
        self.events.append((item, weight, at))
        if self.state is not None:
            self.state.add(item, weight)

    def session(self, shelf: Shelf) -> SessionState | None:
        """The state, made where it is missing; None where the version has no model."""
        if self.state is None and shelf.model is not None:
            self.state = SessionState(shelf.model)
            for item, weight, _ in self.events:
                self.state.add(item, weight)
        return self.state


class Live:
    """All visitors with events since the publication.

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
        weight = WEIGHTS.get(event.kind, 1.0)
        moment = at or datetime.now(UTC)
        if event.session is not None:
            self._visitor(self.sessions, event.session).add(event.item, weight, moment)
        if event.customer is not None:
            self._visitor(self.customers, event.customer).add(event.item, weight, moment)
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

    def list_of(self, customer: str, shelf: Shelf, base: Sequence[bytes]) -> Ready | None:
        """The list of a customer with events, made where it is not there; None where the customer has no events, or the version no model.

        Args:
            base: the documents of the customer's whole stored list; none for a customer of whom nothing is stored.
        """
        made = self.lists.get(customer)
        visitor = self.customers.get(customer)
        if made is not None or visitor is None:
            return made
        state = visitor.session(shelf)
        if state is None:
            return None
        made = self.lists[customer] = shelf.wrap(_body(customer, visitor, _mixed(shelf, base, state, ANSWER_LENGTH)))
        self._lively[customer] = visitor
        self._lively.move_to_end(customer)
        if len(self._lively) > _LIVELY:
            calm, who = self._lively.popitem(last=False)
            who.state = None
            self.lists.pop(calm, None)
        return made

    def rows_of(self, customer: str, shelf: Shelf, base: Sequence[bytes], rows: int) -> Ready | None:
        """As `list_of`, with another number of rows than is sent by itself; it is made for this one answer."""
        visitor = self.customers.get(customer)
        state = None if visitor is None else visitor.session(shelf)
        if visitor is None or state is None:
            return None
        return shelf.wrap(_body(customer, visitor, _mixed(shelf, base, state, rows)))

    def session_of(self, session: str) -> Sequence[tuple[str, float]]:
        """What a session did: items and weights, oldest first."""
        visitor = self.sessions.get(session)
        return [] if visitor is None else [(item, weight) for item, weight, _ in visitor.events]

    def start_over(self, published_at: datetime) -> None:
        """Forgets what came before a version, and all that was made with the model of the one before."""
        self.lists.clear()
        self._lively.clear()
        for visitors in (self.customers, self.sessions):
            for name in list(visitors):
                visitor = visitors[name]
                visitor.state = None
                while visitor.events and visitor.events[0][2] <= published_at:
                    visitor.events.popleft()
                if not visitor.events:
                    del visitors[name]

    def _visitor(self, visitors: OrderedDict[str, Visitor], name: str) -> Visitor:
        visitor = visitors.get(name)
        if visitor is None:
            visitor = visitors[name] = Visitor()
            if len(visitors) > self._limit:
                gone, _ = visitors.popitem(last=False)
                if visitors is self.customers:
                    self.lists.pop(gone, None)
                    self._lively.pop(gone, None)
                    self.changed(gone)
        else:
            visitors.move_to_end(name)
        return visitor


def _body(customer: str, visitor: Visitor, rows: Sequence[Suggestion]) -> bytes:
    return body_of({"customer": customer, "session_events": len(visitor.events)}, rows)


def _mixed(shelf: Shelf, bodies: Sequence[bytes], state: SessionState, rows: int) -> Sequence[Suggestion]:
    base = stored(*bodies) if bodies else popular(shelf, None) or []
    return blended(shelf, base, state, rows)
