"""What can be set of the recommender, with the values that were chosen on the validation window of Online Retail II.

What belongs here: one frozen object that goes into the model's files, and its check. What does not: threads and seed, which belong to a run.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from plinth.recommend.errors import ModelRefused


@dataclass(frozen=True)
class RecommenderSettings:
    """How the recommender learns.

    Attributes:
        window_days: days ahead that it is asked about; also the distance of the cut-offs that the ranker learns from.
        cutoffs: how many past cut-offs the ranker learns from, the newest one window before the time of training.
        seasons: how many cut-offs more it learns from, around the same time of last year: only they have seen the season to come.
        customers_per_cutoff: at most so many customers of each cut-off are learnt from, drawn with the seed.
        ease_penalty: EASE's ridge (lambda), relative to the mean diagonal of the item-item matrix.
        ease_half_life: days after which a purchase counts half in EASE.
        together_half_life: days after which a basket counts half in what goes together.
        ease_items: EASE takes at most so many items, those that weigh most: its matrix is dense while it is solved.
        row_items: how many entries of each row of an item-item model are kept.
        neighbours: customers that a customer's neighbourhood holds.
        neighbour_pool: neighbours are looked for among at most so many customers, those who bought last.
        own_candidates ... popular_candidates: how many candidates each source gives.
        negatives: share of the candidates that were not bought which the ranker learns from.
        evenness: 0 lets each bought item count the same, 1 each customer.
        trees, leaves, learning_rate, split_features, leaf_rows: the ranker's boosting; `split_features` is the share of the features that
            a split is looked for in.
    """

    window_days: int = 28
    cutoffs: int = 6
    seasons: int = 3
    customers_per_cutoff: int = 2_000
    ease_penalty: float = 10.0
    ease_half_life: float = 180.0
    together_half_life: float = 90.0
    ease_items: int = 3_500
    row_items: int = 200
    neighbours: int = 100
    neighbour_pool: int = 20_000
    own_candidates: int = 300
    ease_candidates: int = 100
    neighbour_candidates: int = 100
    basket_candidates: int = 60
    text_candidates: int = 20
    popular_candidates: int = 60
    negatives: float = 0.2
    evenness: float = 0.5
    trees: int = 200
    leaves: int = 31
    learning_rate: float = 0.06
    split_features: float = 0.4
    leaf_rows: int = 100

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: object) -> RecommenderSettings:
        """The settings that `to_dict` gave.

        Raises:
            ModelRefused: a key is missing or unknown, or a value is no number.
        """
        wanted = {field.name for field in fields(cls)}
        if not isinstance(given, dict) or set(given) != wanted:
            raise ModelRefused(
                "the settings of the model are not those of this version", expected=sorted(wanted), found=given
            )
        if not all(isinstance(value, int | float) for value in given.values()):
            raise ModelRefused("a setting of the model is no number", found=given)
        return cls(**given)
