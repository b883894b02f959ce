"""The item model in real time: what happens in a session changes the list within a millisecond, without retraining.

What belongs here: the item model and its bytes, the state of one session, and the blend of a stored list with it; numpy and nothing else, since
the API imports it. What does not: learning the model (`item_item`) and keeping sessions (`api`).

A session's score of an item is the sum of the rows of the items that were seen, each with the weight of its event, which fades with
each event after it. Adding an event is one pass over one truncated row. Of a session the last `WINDOW` events count, so that it costs the
same after a million of them.
"""

from __future__ import annotations

import io
import zipfile
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plinth.recommend.errors import ModelRefused

Array = np.ndarray[Any, np.dtype[Any]]
Scored = list[tuple[str, float]]

# Both were chosen on the validation window's invoices: what is left of an earlier event with each event after it, and how much the best of a
# session counts beside the best of the stored list.
_FADE = 0.8
_LIFT = 1.0
WINDOW = 30
"""How many events of a session are kept. The one before them would have the weight 0.8 ** 30, a thousandth."""
_ARRAYS = ("items", "pointer", "columns", "weights", "popularity")


@dataclass(frozen=True)
class ItemModel:
    """Items by items in truncated sparse rows.

    Attributes:
        items: labels by code, sorted.
        pointer, columns, weights: row `i` holds the weights `weights[pointer[i]:pointer[i + 1]]` for the items `columns[...]`.
        popularity: between 0 and 1; what is said of an item before anything has happened.
    """

    items: Array
    pointer: Array
    columns: Array
    weights: Array
    popularity: Array
    codes: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", {str(label): code for code, label in enumerate(self.items)})

    def to_bytes(self) -> bytes:
        """The model as the bytes of an npz file; the same model gives the same bytes."""
        return pack({name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def from_bytes(cls, body: bytes) -> ItemModel:
        """The model of `to_bytes`.

        Raises:
            ModelRefused: these are not the bytes of such a model.
        """
        arrays = unpack(body, _ARRAYS, where="item model")
        _check(arrays)
        return cls(**arrays)


@dataclass
class SessionState:
    """What the last events of a session have shown. It changes with each event; one belongs to one session.

    Args:
        model: the item model, shared by all sessions.

    Attributes:
        known: how many of the kept events are about items that the model knows.
    """

    model: ItemModel
    scores: Array = field(init=False, repr=False)
    known: int = field(init=False, default=0)
    _events: deque[tuple[str, float, bool]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.scores = np.zeros(len(self.model.items), dtype=np.float32)
        self._events = deque(maxlen=WINDOW)

    @property
    def seen(self) -> list[str]:
        """The items of the kept events, oldest first."""
        return [item for item, _, _ in self._events]

    @property
    def taken(self) -> set[str]:
        """The items that are to be suggested no more."""
        return {item for item, _, taken in self._events if taken}

    def add(self, item: str, weight: float = 1.0, *, taken: bool = True) -> bool:
        """Takes an event in; false for an item that the model does not know, which changes nothing but what was seen.

        Args:
            taken: whether the item leaves a stored list with it, as one that was bought does.
        """
        slides = len(self._events) == WINDOW
        self._events.append((item, weight, taken))
        if not slides:
            return self._count(item, weight)
        # Made anew from what is kept: the same state then, whether it has followed all events or was made from the last ones.
        self.scores[:] = 0
        self.known = 0
        return [self._count(each, heavy) for each, heavy, _ in self._events][-1]

    def _count(self, item: str, weight: float) -> bool:
        code = self.model.codes.get(item)
        if code is None:
            return False
        low, high = self.model.pointer[code], self.model.pointer[code + 1]
        self.scores *= _FADE
        self.scores[self.model.columns[low:high]] += np.float32(weight) * self.model.weights[low:high]
        self.known += 1
        return True

    def top(self, k: int, exclude: Collection[str] = ()) -> Scored:
        """The best items for the session as it stands, without those seen in it; popular ones where it says nothing yet."""
        base = self.scores if self.known else self.model.popularity
        # The popular come first among those of which the session says the same.
        scores = base + np.float32(1e-6) * self.model.popularity
        hidden = [self.model.codes[item] for item in {*self.seen, *exclude} if item in self.model.codes]
        scores[hidden] = -np.inf
        k = max(0, min(k, len(scores) - len(set(hidden))))
        if k == 0:
            return []
        best = np.argpartition(-scores, k - 1)[:k]
        best = best[np.lexsort((best, -scores[best]))]
        return [(str(self.model.items[code]), float(scores[code])) for code in best]

    def score(self, item: str) -> float:
        """What the session says of one item; 0 for an unknown one."""
        code = self.model.codes.get(item)
        return 0.0 if code is None else float(self.scores[code])


def blend(base: Sequence[tuple[str, float]], session: SessionState, k: int) -> Scored:
    """The stored list of a customer together with this session, best first.

    Both are scaled to their best score. What the session has taken leaves the stored list, and what it has seen is not added to it. Without an
    event in the session that the model knows, the rest of the list stays as it was; where nothing would be left, all of it does: of a shop
    whose every item is in the cart the best thing to say is still the list.
    """
    taken = session.taken
    stored = [(item, score) for item, score in base if item not in taken]
    if not stored and not any(score > 0 for _, score in session.top(1)):
        return list(base[:k])
    if not session.known:
        return stored[:k]
    lively = session.top(k)
    best_stored = max((score for _, score in stored), default=0.0) or 1.0
    best_lively = max((score for _, score in lively), default=0.0)
    best_lively = best_lively if best_lively > 0 else 1.0
    total = {item: score / best_stored for item, score in stored}
    for item in {*total, *(item for item, _ in lively)}:
        total[item] = total.get(item, 0.0) + _LIFT * max(0.0, session.score(item)) / best_lively
    ranked = sorted(total.items(), key=lambda each: (-each[1], each[0]))
    return ranked[:k]


def pack(arrays: dict[str, Array]) -> bytes:
    """Arrays as an npz file without time stamps, so that equal arrays give equal bytes.

    Raises:
        ModelRefused: an array holds Python objects, which only pickle could store.
    """
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(arrays):
            array = io.BytesIO()
            try:
                np.lib.format.write_array(array, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            except ValueError as problem:
                raise ModelRefused("an array cannot be stored without pickle", found=problem, where=name) from problem
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), array.getvalue(), zipfile.ZIP_DEFLATED, 6
            )
    return body.getvalue()


def unpack(body: bytes, names: Collection[str], *, where: str) -> dict[str, Array]:
    """The arrays of `pack`.

    Raises:
        ModelRefused: the bytes are no such file, hold Python objects, or hold other arrays.
    """
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as archive:
            if isinstance(archive, np.ndarray) or set(archive.files) != set(names):
                raise ModelRefused(
                    "the file does not hold the arrays of this model",
                    expected=sorted(names),
                    found="one array" if isinstance(archive, np.ndarray) else sorted(archive.files),
                    where=where,
                )
            return {name: archive[name] for name in names}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError, NotImplementedError) as problem:
        raise ModelRefused(
            "the file is no npz file that can be read without pickle",
            expected="arrays of numbers and texts",
            found=problem,
            where=where,
            remedy="fetch the version from the registry again; never allow pickle",
        ) from problem


def _check(arrays: dict[str, Array]) -> None:
    items, pointer, columns, weights = (arrays[name] for name in ("items", "pointer", "columns", "weights"))
    count = len(items) if items.ndim == 1 else -1
    fits = (
        items.dtype.kind == "U"
        and pointer.shape == (count + 1,)
        and pointer.dtype.kind == columns.dtype.kind == "i"
        and weights.dtype.kind == arrays["popularity"].dtype.kind == "f"
        and arrays["popularity"].shape == (count,)
        and columns.shape == weights.shape
        and (count == 0 or (pointer[0] == 0 and pointer[-1] == len(columns) and bool((np.diff(pointer) >= 0).all())))
        and (len(columns) == 0 or (columns.min() >= 0 and columns.max() < count))
    )
    if not fits:
        raise ModelRefused("the arrays do not make an item model", where="item model", remedy="publish it again")
