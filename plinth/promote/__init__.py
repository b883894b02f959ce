"""Promotions: who is likely to buy, whom an offer moves, and who gets which offer.

What belongs here: the purchase propensity and its calibration, the uplift of promotions from randomised trials, the figures by which both are judged,
the plan that spends a budget on the contacts which bring most, consent, the models' files, and their pictures. What does not belong here: where orders
and contacts come from (`plinth.transform` makes silver and gold), declared features (`plinth.features`), which model serves (`plinth.registry`), and
how offers reach customers (`plinth.online`, `api`).

    from plinth.promote import examples, train_propensity
    table = examples(con, "orders", cutoffs_before(last, first))
    propensity = train_propensity(table, seed=7, threads=2)
    propensity.predict(history_features(con, "points", "orders"))
"""

from __future__ import annotations

from plinth.promote.errors import ExamplesUnusable, ModelFileRefused, PlanImpossible
from plinth.promote.history import HORIZON, cutoffs_before, examples, history_features
from plinth.promote.measures import PropensityMetrics, measure_propensity
from plinth.promote.propensity import Propensity, PropensitySettings, train_propensity

__all__ = [
    "HORIZON",
    "ExamplesUnusable",
    "ModelFileRefused",
    "PlanImpossible",
    "Propensity",
    "PropensityMetrics",
    "PropensitySettings",
    "cutoffs_before",
    "examples",
    "history_features",
    "measure_propensity",
    "train_propensity",
]
