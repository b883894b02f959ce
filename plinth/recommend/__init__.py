"""The recommender: which items a customer is likely to buy next, and why, from what was bought before.

What belongs here: learning from purchases (candidates by several item-item and customer-customer models, a ranker over them), the lists that
are published, the item model that reacts to a session within a millisecond, reasons for people, the model's files, and the figures by which
a recommender is judged. What does not belong here: where purchases come from beyond reading gold (`plinth.transform` makes it), which model
serves (`plinth.registry`), how lists reach their readers (`plinth.online`, `api`), and who gets an offer (`plinth.promote`).

    from plinth.recommend import train_recommender
    recommender = train_recommender(events, items, at=datetime(2026, 1, 5), threads=2, seed=7)
    recommender.recommend([12347, 12348], k=20)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plinth.recommend.evaluate import Evaluation
    from plinth.recommend.gold import events_from_lakehouse, items_from_lakehouse
    from plinth.recommend.known import moved
    from plinth.recommend.recommender import Recommender
    from plinth.recommend.session import ItemModel, SessionState, blend
    from plinth.recommend.settings import RecommenderSettings
    from plinth.recommend.train import train_recommender

_WHERE = {
    "Evaluation": "evaluate",
    "ItemModel": "session",
    "Recommender": "recommender",
    "RecommenderSettings": "settings",
    "SessionState": "session",
    "blend": "session",
    "events_from_lakehouse": "gold",
    "items_from_lakehouse": "gold",
    "moved": "known",
    "train_recommender": "train",
}

__all__ = [
    "Evaluation",
    "ItemModel",
    "Recommender",
    "RecommenderSettings",
    "SessionState",
    "blend",
    "events_from_lakehouse",
    "items_from_lakehouse",
    "moved",
    "train_recommender",
]


def __getattr__(name: str) -> object:
    # scikit-learn takes a second to load: the API needs the session alone, the command line nothing of it.
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
