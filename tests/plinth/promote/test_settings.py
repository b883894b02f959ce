"""The terms of a plan are what `platform.yaml` says, and what it cannot say is refused by file, key and allowed values."""

from __future__ import annotations

from pathlib import Path

import pytest

from plinth.errors import ConfigurationError
from plinth.platform import Platform, load_platform
from plinth.promote import PlanTerms

ROOT = Path(__file__).resolve().parents[3]


def _loaded(folder: Path, promotions: str) -> Platform:
    overlay = folder / "overlay.yaml"
    overlay.write_text(f"promotions: {promotions}\n", encoding="utf-8")
    return load_platform(ROOT / "platform.yaml", overlay)


def test_the_projects_own_file_says_what_holds_without_it(tmp_path: Path) -> None:
    assert PlanTerms.of(_loaded(tmp_path, "{}").promotions, None) == PlanTerms()


def test_each_term_reaches_the_plan(tmp_path: Path) -> None:
    text = "{margin: 0.25, contact_cost: {post: 1}, shipping_cost: 3, contact_limit: 2, contact_period_days: 30, total_budget: 500, "
    text += "propose_repeats: false}"
    found = PlanTerms.of(_loaded(tmp_path, text).promotions, 0.6)
    assert found == PlanTerms(
        margin=0.25,
        contact_cost={"email": 0.02, "sms": 0.06, "post": 1.0},  # an overlay merges key by key
        shipping_cost=3.0,
        contact_limit=2,
        contact_period_days=30,
        total_budget=500.0,
        propose_repeats=False,
    )


def test_a_margin_that_nobody_gives_is_the_catalogues(tmp_path: Path) -> None:
    settings = _loaded(tmp_path, "{}").promotions
    assert (PlanTerms.of(settings, 0.6).margin, PlanTerms.of(settings, None).margin) == (0.6, 0.4)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("{margin: 1.5}", ["promotions.margin", "less than or equal to 1", "1.5"]),
        ("{contact_cost: {fax: 1}}", ["promotions.contact_cost.fax", "'email', 'sms' or 'post'", "fax"]),
        ("{contact_cost: {email: -1}}", ["promotions.contact_cost.email", "greater than or equal to 0", "-1"]),
        ("{shipping_cost: .inf}", ["promotions.shipping_cost", "finite"]),
        ("{contact_limit: 1.5}", ["promotions.contact_limit", "integer", "1.5"]),
        ("{contact_period_days: 0}", ["promotions.contact_period_days", "greater than or equal to 1", "0"]),
        ("{total_budget: much}", ["promotions.total_budget", "number", "much"]),
        ("{budget: 5}", ["promotions.budget", "allowed here: margin, contact_cost", "did you mean 'total_budget'"]),
    ],
)
def test_a_wrong_term_is_refused_with_file_key_and_what_is_allowed(tmp_path: Path, wrong: str, said: list[str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        _loaded(tmp_path, wrong)
    for part in [str(tmp_path / "overlay.yaml"), *said]:
        assert part in str(refused.value)
