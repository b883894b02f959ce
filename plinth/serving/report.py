"""What a run's report says of the models and of the online store.

What belongs here: reading both, where they are there. What does not: the report itself (`plinth.report`).
"""

from __future__ import annotations

from plinth.online import StoreUnavailable
from plinth.platform import Platform
from plinth.registry import Registry
from plinth.report import ModelLine, OnlineLine
from plinth.training.targets import TARGETS

_LISTS, _CUSTOMERS = "recommendations", 3


def champion_lines(platform: Platform) -> list[ModelLine]:
    """The champion of each model that has one.

    Raises:
        RegistryUnavailable: the tracking server does not answer.
    """
    registry = Registry.of(platform)
    champions = [(target, registry.champion(target.name)) for target in TARGETS]
    return [
        ModelLine(target.name, champion.version, target.metric, champion.metrics.get(target.metric, float("nan")))
        for target, champion in champions
        if champion is not None
    ]


def online_line(platform: Platform) -> OnlineLine | None:
    """What the online store serves; None where nothing was published, or the store does not answer."""
    from plinth.online import OnlineStore

    try:
        with OnlineStore.of(platform) as store:
            store.set_up()
            version = store.current()
            if version is None:
                return None
            found = store.scan(_LISTS, "", _CUSTOMERS)
    except StoreUnavailable:
        return None
    published = version.published_at.isoformat(timespec="seconds")
    return OnlineLine(version.id, published, dict(version.documents), [key for key, _ in found])
