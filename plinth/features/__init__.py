"""Features: declared once in `feature_views.yaml`, computed as of any instant, kept as weekly snapshots, and equal offline and online.

    from plinth.features import load_views, snapshot, now_of, training_set

    views = load_views(platform)                                  # the company's declarations, strictly validated
    view = views.view("customer")
    table = snapshot(lakehouse, view, datetime(2011, 11, 11))     # all entities, from what happened and was known before the instant
    table = snapshot(lakehouse, view, now_of(lakehouse, view))    # everything that the lakehouse holds: the online values
    one = snapshot(lakehouse, view, at, entity={"customer_no": 12347})
    rows = training_set(lakehouse, views, entities, ["customer", "item.price"], at="at")   # pa.Table in, pa.Table out, `<view>__<feature>`

`snapshot` needs no materialised table: it computes from silver, exactly at the instant. `training_set` reads the weekly snapshots (Delta tables
`features/<view>`, made by `materialise`), and takes for each row the newest that was known at its time stamp.

What belongs here: declarations, the SQL of a view at an instant, snapshots, the point-in-time join, and the comparison of offline with
online. What does not: models (`plinth.recommend`, `plinth.promote`) and the online store (`plinth.online`).
"""

from __future__ import annotations

from plinth.features.compute import events_of, snapshot, values_of
from plinth.features.declare import FeatureView, FeatureViewError, FeatureViews, load_views
from plinth.features.rows import now_of
from plinth.features.training import training_set

__all__ = [
    "FeatureView",
    "FeatureViewError",
    "FeatureViews",
    "events_of",
    "load_views",
    "now_of",
    "snapshot",
    "training_set",
    "values_of",
]
