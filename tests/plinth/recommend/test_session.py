"""A session changes the list at once, and the item model travels as plain bytes."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plinth.recommend import ItemModel, Recommender, SessionState, blend
from plinth.recommend.errors import ModelRefused
from plinth.recommend.session import WINDOW, pack


def model() -> ItemModel:
    """Four items: a speaks for b and c, b for c; d stands alone and is the most popular."""
    return ItemModel(
        items=np.array(["a", "b", "c", "d"]),
        pointer=np.array([0, 2, 3, 3, 3], dtype=np.int32),
        columns=np.array([1, 2, 2], dtype=np.int32),
        weights=np.array([0.5, 0.2, 0.9], dtype=np.float32),
        popularity=np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32),
    )


def test_before_any_event_the_popular_items_come() -> None:
    assert [item for item, _ in SessionState(model()).top(2)] == ["d", "c"]


def test_an_event_brings_what_goes_with_it_and_hides_itself() -> None:
    state = SessionState(model())
    assert state.add("a")
    assert [item for item, _ in state.top(4)] == ["b", "c", "d"]
    state.add("b")
    assert next(item for item, _ in state.top(4)) == "c"


def test_excluded_items_are_left_out() -> None:
    state = SessionState(model())
    state.add("a")
    assert [item for item, _ in state.top(2, exclude=["b", "unheard of"])] == ["c", "d"]


def test_a_weightier_event_speaks_louder() -> None:
    light, heavy = SessionState(model()), SessionState(model())
    light.add("a")
    heavy.add("a", weight=3.0)
    assert heavy.score("b") == pytest.approx(3 * light.score("b"))


def test_an_unknown_item_changes_nothing_but_is_remembered() -> None:
    state = SessionState(model())
    before = state.top(4)
    assert not state.add("unheard of")
    assert state.top(4) == before
    assert state.seen == ["unheard of"]


def test_blending_without_a_known_event_leaves_the_stored_list() -> None:
    stored = [("c", 0.9), ("a", 0.4)]
    assert blend(stored, SessionState(model()), 2) == stored


def test_blending_lifts_what_goes_with_the_session_and_drops_what_it_has_shown() -> None:
    state = SessionState(model())
    state.add("a")
    blended = blend([("d", 0.9), ("a", 0.8), ("c", 0.1), ("b", 0.1)], state, 4)
    order = [item for item, _ in blended]
    assert "a" not in order
    assert order.index("b") < order.index("c")
    assert [score for _, score in blended] == sorted((score for _, score in blended), reverse=True)


@given(st.lists(st.sampled_from(["a", "b", "c", "d", "x"]), max_size=12), st.integers(0, 6))
@settings(max_examples=100, deadline=None)
def test_a_list_has_no_item_twice_and_none_that_was_seen(events: list[str], k: int) -> None:
    state = SessionState(model())
    for item in events:
        state.add(item)
    for listed in (state.top(k), blend([("a", 0.9), ("b", 0.8), ("x", 0.7)], state, k)):
        items = [item for item, _ in listed]
        assert len(items) == len(set(items)) <= k
        # Where nothing else is left to say, the stored list is.
        assert not set(items) & set(events) or not set("abcdx") - set(events)


def test_the_list_is_never_empty_however_much_was_taken() -> None:
    stored = [("a", 0.9), ("b", 0.8)]
    state = SessionState(model())
    for item in "abcd":
        state.add(item)
    assert blend(stored, state, 3) == stored
    unknown = SessionState(model())
    for item in ("a", "b", "x"):
        unknown.add(item)
    assert "a" not in [item for item, _ in blend([*stored, ("c", 0.1)], unknown, 3)]
    assert blend([("x", 0.9)], SessionState(model()), 3) == [("x", 0.9)]


def test_what_was_only_looked_at_stays_in_the_stored_list_and_is_not_added_to_it() -> None:
    state = SessionState(model())
    state.add("a", taken=False)
    assert "a" in [item for item, _ in blend([("d", 0.9), ("a", 0.8)], state, 4)]
    assert "a" not in [item for item, _ in blend([("d", 0.9)], state, 4)]


def test_a_session_costs_the_same_after_any_number_of_events_and_is_that_of_its_last_ones() -> None:
    long, short = SessionState(model()), SessionState(model())
    events = [("abcdx"[(number * 7) % 5], 1.0 + number % 3, number % 4 == 0) for number in range(10_000)]
    for item, weight, taken in events:
        long.add(item, weight, taken=taken)
    for item, weight, taken in events[-WINDOW:]:
        short.add(item, weight, taken=taken)
    assert len(long.seen) == WINDOW
    assert long.seen == short.seen
    assert (long.known, long.taken) == (short.known, short.taken)
    assert np.array_equal(long.scores, short.scores)


def test_the_bytes_hold_the_model_and_are_the_same_each_time(recommender: Recommender) -> None:
    made = recommender.item_model
    again = ItemModel.from_bytes(made.to_bytes())
    assert again.to_bytes() == made.to_bytes()
    one, other = SessionState(made), SessionState(again)
    for item in made.items[[3, 11, 19]]:
        one.add(str(item))
        other.add(str(item))
    assert one.top(20) == other.top(20)


class Planted:
    """Would run a command if it were ever unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('unpickled')",)


def test_pickled_bytes_are_refused() -> None:
    planted = np.empty(1, dtype=object)
    planted[0] = Planted()
    array, bare = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array(array, planted, allow_pickle=True)
    with zipfile.ZipFile(bare, "w") as archive:
        for name in ("items", "pointer", "columns", "weights", "popularity"):
            archive.writestr(f"{name}.npy", array.getvalue())
    for body in (pickle.dumps(Planted()), bare.getvalue(), array.getvalue(), b"", b"no npz", model().to_bytes()[:-20]):
        with pytest.raises(ModelRefused):
            ItemModel.from_bytes(body)
    with pytest.raises(ModelRefused, match="without pickle"):
        pack({"items": planted})


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    good = model()
    arrays = {name: getattr(good, name) for name in ("items", "pointer", "columns", "weights", "popularity")}
    for name, wrong in (
        ("columns", np.array([1, 2, 9], dtype=np.int32)),
        ("columns", np.array([1, 2, -1], dtype=np.int32)),
        ("pointer", np.array([0, 3, 2, 3, 3], dtype=np.int32)),
        ("pointer", np.array([0, 2], dtype=np.int32)),
        ("weights", np.array([0.5], dtype=np.float32)),
        ("items", np.array([1, 2, 3, 4])),
        ("popularity", np.array(0.5)),
    ):
        with pytest.raises(ModelRefused):
            ItemModel.from_bytes(pack(arrays | {name: wrong}))
