"""Promotions: who is likely to buy, whom an offer moves, and who gets which offer.

What belongs here: the purchase propensity and its calibration, the uplift of promotions from randomised trials, the figures by which both are judged,
the plan that spends a budget on the contacts which bring most, consent, the models' files, and their pictures. What does not belong here: where orders
and contacts come from (`plinth.transform` makes silver and gold), declared features (`plinth.features`), which model serves (`plinth.registry`), and
how offers reach customers (`plinth.online`, `api`).

    from plinth.promote import SPACING, cutoffs_before, labels, train_propensity
    rows = labels(con, "lines", cutoffs_before(last, first, SPACING))                     # customer_no, at, bought
    table = training_set(lakehouse, views, rows, ["customer", "buyer"], tables={})   # with the features of declared views
    propensity = train_propensity(table, seed=7, threads=2)

    uplift = train_uplift(trials(con, versions), seed=7, threads=2)
    candidates = find_candidates(con, Shop(), uplift, plannable_offers(con, "promotions", on=day), PlanTerms(), on=day)
    plan = plan_promotions(candidates.table, offers, customers, on=day, draws=candidates.draws)   # .table, and .summary: what it is worth
"""

from __future__ import annotations

from plinth.promote.consent import consent_violations
from plinth.promote.errors import ExamplesUnusable, ModelFileRefused, PlanImpossible
from plinth.promote.examples import HORIZON, SPACING, cutoffs_before, labels, room_for, thinned
from plinth.promote.history import history_features
from plinth.promote.measures import PropensityMetrics, measure_propensity
from plinth.promote.offers import PlanTerms
from plinth.promote.plan import PlanSummary, PromotionPlan, plan_promotions
from plinth.promote.propensity import Propensity, PropensitySettings, train_propensity
from plinth.promote.qini import UpliftMetrics, measure_uplift
from plinth.promote.uplift import Uplift, UpliftSettings, train_uplift

__all__ = [
    "HORIZON",
    "SPACING",
    "ExamplesUnusable",
    "ModelFileRefused",
    "PlanImpossible",
    "PlanSummary",
    "PlanTerms",
    "PromotionPlan",
    "Propensity",
    "PropensityMetrics",
    "PropensitySettings",
    "Uplift",
    "UpliftMetrics",
    "UpliftSettings",
    "consent_violations",
    "cutoffs_before",
    "history_features",
    "labels",
    "measure_propensity",
    "measure_uplift",
    "plan_promotions",
    "room_for",
    "thinned",
    "train_propensity",
    "train_uplift",
]
