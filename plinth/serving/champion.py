"""The model that serves: its champion, opened only after its files were held to their digest.

What belongs here: finding and opening it. What does not: which version is champion (`plinth.registry`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plinth.registry import ModelMissing, RegisteredVersion, Registry

if TYPE_CHECKING:
    from plinth.features import FeatureView
    from plinth.recommend.recommender import Recommender

RECOMMENDER, UPLIFT, PROPENSITY = "recommender", "uplift", "propensity"


def input_name(model: str) -> str:
    """How a model is called among the inputs of a table or a version."""
    return f"models/{model}"


def view_input(view: FeatureView) -> str:
    """How a commit names the declaration of a view, which is no table; its text is the view's fingerprint."""
    return f"views/{view.name}"


def input_text(champion: RegisteredVersion | None) -> str:
    """Names the version of a model among inputs; its digest says what it is, also after another registry took the number."""
    return "none" if champion is None else f"{champion.version} {champion.digest[:16]}"


def named_version(registry: Registry, model: str, text: str | None) -> RegisteredVersion | None:
    """The version that `input_text` named; None where there was none.

    Raises:
        ModelMissing: it is no longer in the registry.
    """
    if text is None or text == "none":
        return None
    number, _, digest = text.partition(" ")
    found = registry.version(model, int(number))
    if found is None or not found.digest.startswith(digest):
        raise ModelMissing(
            f"the version of the model {model} that the serving tables were made from is gone",
            expected=f"version {text}",
            found=input_text(found),
            remedy=f"materialise models/{model} and the serving tables again",
        )
    return found


def open_recommender(registry: Registry, version: RegisteredVersion, threads: int) -> Recommender:
    """The recommender of a version.

    Raises:
        ModelTampered, ModelRefused: its files are not those that were registered, or not what they should be.
    """
    from plinth.recommend.recommender import Recommender

    return Recommender.load(registry.fetch(version), threads=threads)
