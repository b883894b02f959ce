"""What exists: one module per stage of the way of the data, and the checks beside them.

What belongs here: assets and asset checks. An asset opens its resources, calls one function of `plinth`, and reports metadata; an
algorithm never stands here. What does not: what wakes assets up (`sensors`), what runs together (`jobs`).
See https://docs.dagster.io/guides/build/assets.
"""

from assets.bronze import bronze_assets, bronze_key
from assets.checks import bronze_checks
from assets.events import event_assets
from assets.features import feature_views_assets, feature_views_checks
from assets.legacy import legacy_specs
from assets.model_checks import model_checks
from assets.models import model_assets, model_key
from assets.serving import serving_assets
from assets.serving_checks import serving_checks
from assets.transform import transform_assets

__all__ = [
    "bronze_assets",
    "bronze_checks",
    "bronze_key",
    "event_assets",
    "feature_views_assets",
    "feature_views_checks",
    "legacy_specs",
    "model_assets",
    "model_checks",
    "model_key",
    "serving_assets",
    "serving_checks",
    "transform_assets",
]
