"""What a run's report says of the models and of the online store.

What belongs here: reading both, where they are there. What does not: the report itself (`plinth.report`).
"""

from __future__ import annotations

from plinth.online import StoreUnavailable
from plinth.platform import Platform
from plinth.registry import Registry
from plinth.report import ModelLine, OnlineLine
from plinth.serving.champion import UPLIFT
from plinth.training.targets import TARGETS

_LISTS, _OFFERS, _CUSTOMERS = "recommendations", "promotions", 3


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
            # Those with an offer first: whoever asks for one of them gets an answer on every path.
            found = [key for kind in (_OFFERS, _LISTS) for key, _ in store.scan(kind, "", _CUSTOMERS)]
    except StoreUnavailable:
        return None
    published = version.published_at.isoformat(timespec="seconds")
    customers = list(dict.fromkeys(found))[:_CUSTOMERS]
    why = "" if version.documents.get(_OFFERS) else _why_no_offer(Registry.of(platform))
    return OnlineLine(version.id, published, dict(version.documents), customers, why)


def _why_no_offer(registry: Registry) -> str:
    champion, newest = registry.champion(UPLIFT), next(iter(registry.versions(UPLIFT)), None)
    if champion is not None:
        return "no customer may and should be contacted: budget, limits, consent, or no offer that is worth its cost"
    if newest is None:
        return "there is no campaign history with a hold-out, so nobody knows whom an offer moves"
    return newest.decision.reason if newest.decision is not None else f"{newest} was not compared yet"
