"""A round of a model: reproducible, nothing for nothing, and decided on one snapshot."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from plinth.features import load_views
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import TableId, TableVersion
from plinth.promote import Propensity
from plinth.recommend import Recommender
from plinth.registry import ModelTampered
from plinth.training.due import why_due
from plinth.training.propensity import PropensityTarget
from plinth.training.tags import CONTENTS, REASON, UNTIL
from plinth.training.target import Desk, Target, tables_of
from plinth.training.uplift import UpliftTarget
from plinth.training.watched import Watch
from plinth.training.work import Outcome, train
from tests.plinth.training.shop import SMALL, Shop, shop_in

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).resolve().parents[3]


def run(shop: Shop, target: Target = SMALL, **more: object) -> Outcome:
    return train(target, shop.lakehouse, shop.registry, profile=shop.platform.profile(), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop of 240 days with a first champion; tests of this module add to it in the order in which they stand."""
    shop = shop_in(tmp_path_factory.mktemp("shop"))
    shop.trade(240)
    return shop


def test_a_first_round_trains_registers_and_makes_a_champion(traded: Shop) -> None:
    said: list[str] = []
    outcome = run(traded, reason="first", run="r1", tell=said.append)
    assert (outcome.trained, outcome.registered) == (True, True)
    assert all(line.startswith("recommender") for line in said)
    done = [line for line in said if "cut-offs" in line]
    assert [line.rpartition(": ")[2] for line in done] == [f"{n} of {len(done)} done" for n in range(1, len(done) + 1)]
    stages = ["training on", "cut-offs", "item-item", "ranker learns", "judging", "moving"]
    assert [stage for stage in stages if any(stage in line for line in said)] == stages, (
        "whoever waits sees how far it is"
    )
    version = outcome.version
    assert version is not None and version == outcome.champion
    assert version.inputs == {str(table): 0 for table in SMALL.inputs}
    assert version.metrics[SMALL.metric] > 1.2 * version.metrics[f"popular_{SMALL.metric}"]
    assert version.tags[UNTIL] == "2023-08-30T00:00:00"
    assert version.tags[REASON] == "first"
    assert set(outcome.plots) == {"figures"}
    assert all(png.startswith(b"\x89PNG") and len(png) < 30_000 for png in outcome.plots.values())


def test_the_champion_knows_the_newest_purchases_and_answers(traded: Shop) -> None:
    champion = traded.registry.champion("recommender")
    assert champion is not None
    model = Recommender.load(traded.registry.fetch(champion))
    assert model.at == 19599.0, "2023-08-30, the day after the last purchase"
    lists = model.recommend([1000, 1001], 5).to_pydict()
    assert [int(item[1:]) // 30 for item in lists["item"]] == [0] * 5 + [1] * 5, "each his own half of the range"


def test_nothing_changed_trains_nothing(traded: Shop) -> None:
    said: list[str] = []
    outcome = run(traded, tell=said.append)
    assert (outcome.trained, outcome.registered) == (False, False)
    assert outcome.reason == "nothing changed since version 1 was trained"
    assert outcome.version == outcome.champion
    assert set(outcome.plots) == {"figures"}, "whoever looks at the asset finds them after such a round too"
    assert said == ["recommender: tables, code and seed are those of version 1"]


def test_a_commit_without_a_changed_row_trains_nothing(traded: Shop) -> None:
    base = traded.lakehouse.open(TableId("gold", "item_catalog"))
    now = commit(traded.lakehouse, base.id, Write(base, base.columns, base.state.next(changed=False)))
    assert now.version == base.version + 1
    assert run(traded).trained is False


def test_equal_tables_in_another_place_give_the_same_digest(traded: Shop, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.plinth.training.shop import *; from plinth.training.work import train\n"
        "shop = shop_in(Path(sys.argv[1])); shop.trade(240)\n"
        "made = train(SMALL, shop.lakehouse, shop.registry, profile=shop.platform.profile())\n"
        "print(made.version.digest, made.version.origin)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    digest, origin = done.stdout.split()
    first = traded.registry.version("recommender", 1)
    assert first is not None
    assert digest == first.digest
    assert origin != first.origin, "another table may hold other rows under the same numbers"


def test_new_purchases_are_judged_on_one_snapshot_with_the_champion(traded: Shop) -> None:
    traded.trade(268)
    outcome = run(traded)
    assert outcome.trained and outcome.decision is not None and outcome.version is not None
    decision = outcome.decision
    assert decision.evaluated_on == outcome.version.evaluated_on
    assert decision.evaluated_on.startswith("purchases of 2023-08-30 to 2023-09-27")
    assert decision.champion_version == 1
    first = traded.registry.version("recommender", 1)
    assert first is not None and decision.champion_value not in (None, first.metrics[SMALL.metric]), "measured anew"
    assert decision.promoted == (decision.challenger_value > decision.champion_value)  # type: ignore[operator]
    assert outcome.champion is not None and outcome.champion.version == (2 if decision.promoted else 1)


def test_a_round_that_died_before_the_decision_is_decided_by_the_next(traded: Shop) -> None:
    traded.registry.store.client.delete_model_version_tag("recommender", "2", "plinth.decision")
    outcome = run(traded)
    assert (outcome.trained, outcome.registered) == (False, False)
    assert outcome.version is not None and outcome.version.decision is not None


def test_another_seed_is_another_model(traded: Shop) -> None:
    outcome = run(traded, seed=5)
    assert outcome.registered and outcome.version is not None and outcome.version.seed == 5
    assert set(outcome.plots) == {"figures", "history"}


def test_a_tampered_champion_fails_the_round_and_stays_where_it_is(traded: Shop) -> None:
    champion = traded.registry.champion("recommender")
    assert champion is not None
    (file,) = (traded.registry.store.root / "artifacts" / "recommender" / champion.run_id).rglob("ranker.skops")
    file.write_bytes(b"x")
    for copy in (traded.registry.store.root / "fetched").rglob("ranker.skops"):
        copy.write_bytes(b"x")
    traded.trade(275)
    with pytest.raises(ModelTampered, match=r"ranker\.skops"):
        run(traded)
    assert traded.registry.champion("recommender") == champion


def test_a_propensity_is_trained_judged_and_kept(traded: Shop) -> None:
    first = run(traded, PropensityTarget())
    assert first.version is not None and first.version == first.champion
    assert 0 <= first.version.metrics["brier"] < first.version.metrics["base_rate"]
    assert json_keys(first.version.tags[CONTENTS]) == {"silver/invoice_lines", "silver/campaign_contacts"}
    names = Propensity.load(traded.registry.fetch(first.version)).features
    views = load_views(traded.platform).views
    declared = {f"{view}__{name}" for view in ("customer", "buyer") for name in views[view].features}
    never = {"customer__redemption_rate", "customer__days_since_contact", "buyer__days_since_return"}
    assert set(names) == declared - never, "nobody was ever contacted, and nothing cancelled"
    assert run(traded, PropensityTarget()).trained is False


def test_another_declaration_of_its_features_makes_a_propensity_due_and_another_model(traded: Shop) -> None:
    watch = Watch(traded.lakehouse, traded.registry, traded.platform.profile(), 7)
    assert why_due(PropensityTarget(), watch) == ""
    file = traded.platform.path("feature_views.yaml")
    text = file.read_text(encoding="utf-8")
    try:
        file.write_text(text.replace("      month_share:", "      month_share_2:"), encoding="utf-8")
        assert why_due(PropensityTarget(), watch) == "its code or the declaration of its features changed"
        outcome = run(traded, PropensityTarget())
        assert outcome.trained and outcome.version is not None
        assert "customer__month_share_2" in Propensity.load(traded.registry.fetch(outcome.version)).features
    finally:
        file.write_text(text, encoding="utf-8")


def test_a_propensity_whose_views_are_not_declared_is_not_trained_and_says_which(traded: Shop) -> None:
    outcome = run(traded, PropensityTarget(feature_views=("customer", "buyers")))
    assert (outcome.version, outcome.trained) == (None, False)
    assert outcome.reason == "the feature views that it learns from are not declared: buyers"


def test_a_line_that_was_booked_after_the_cutoffs_changes_nothing_that_is_learnt_before_it(tmp_path: Path) -> None:
    shop = shop_in(tmp_path)
    shop.trade(240)
    desk = Desk(shop.lakehouse, pinned(shop), shop.platform.profile(), tmp_path / "scratch", 1)
    before = PropensityTarget().open(desk)
    base = shop.lakehouse.open(TableId("silver", "invoice_lines"))
    late = (
        "SELECT * REPLACE (1::BIGINT AS line_id, 'LATE' AS invoice_no, 'I059' AS item_code, TIMESTAMP '2023-05-01 10:00' AS invoiced_at, "
        f"TIMESTAMP '2023-08-29 09:00' AS known_at) FROM {rows_of(base)} WHERE customer_no = 1003 LIMIT 1"
    )
    shop.write(base.id, f"SELECT * FROM {rows_of(base)} UNION ALL ({late})")
    after = PropensityTarget().open(replace(desk, versions=pinned(shop)))
    features = [name for name in before.learnt.column_names if "__" in name]
    assert after.learnt.select(features).equals(before.learnt.select(features))
    assert after.judged.select(features).equals(before.judged.select(features))


@pytest.mark.parametrize("groups", [(), ("treatment",)])
def test_without_a_hold_out_there_is_no_uplift_and_no_fault(traded: Shop, groups: tuple[str, ...]) -> None:
    rows = ", ".join(f"(1, 1000, DATE '2023-02-01', 'email', '{group}', false, NULL::DATE)" for group in groups)
    contacts = "t(promotion_id, customer_no, contacted_on, channel, trial_group, is_redeemed, redeemed_on)"
    empty = "(0, 0, NULL::DATE, '', '', false, NULL::DATE)"
    traded.write(
        TableId("silver", "campaign_contacts"),
        f"SELECT * FROM (VALUES {rows or empty}) {contacts} WHERE promotion_id > 0",
    )
    traded.write(
        TableId("silver", "promotions"),
        "SELECT 1 AS promotion_id, DATE '2023-02-01' AS starts_on, DATE '2023-02-14' AS ends_on",
    )
    traded.write(TableId("silver", "customers"), "SELECT 1000 AS customer_no, 1970 AS birth_year")
    outcome = run(traded, UpliftTarget())
    assert (outcome.version, outcome.champion, outcome.trained) == (None, None, False)
    assert "no campaign history with a hold-out" in outcome.reason


def test_an_uplift_that_is_no_better_than_chance_is_registered_and_serves_nobody(traded: Shop) -> None:
    # Who is treated is drawn by lot and changes nothing: customers order when they would have.
    day = "DATE '2023-02-01' + (20 * p)::INTEGER"
    traded.write(
        TableId("silver", "campaign_contacts"),
        f"SELECT p::INTEGER AS promotion_id, c::INTEGER AS customer_no, {day} AS contacted_on, 'email' AS channel, "
        "if(hash(c * 31 + p) % 10 < 7, 'treatment', 'control') AS trial_group, false AS is_redeemed, NULL::DATE AS redeemed_on, "
        f"({day})::TIMESTAMP AS known_at FROM range(1000, 1120) t(c), range(8) u(p)",
    )
    traded.write(
        TableId("silver", "promotions"),
        f"SELECT p::INTEGER AS promotion_id, 'percent_off' AS promotion_type, 10.0::DOUBLE AS discount_percent, NULL::DOUBLE AS discount_amount, "
        f"{day} AS starts_on, {day} + 9 AS ends_on FROM range(8) u(p)",
    )
    traded.write(
        TableId("silver", "customers"),
        "SELECT c::INTEGER AS customer_no, (1950 + c % 50)::INTEGER AS birth_year FROM range(1000, 1120) t(c)",
    )
    outcome = run(traded, UpliftTarget())
    assert outcome.trained and outcome.version is not None and outcome.version.metrics["every_trial_qini_low"] <= 0
    assert outcome.champion is None and outcome.decision is not None and not outcome.decision.promoted
    assert "may be no better than a random one" in outcome.decision.reason
    again = run(traded, UpliftTarget())
    assert (again.trained, again.champion, again.decision) == (False, None, outcome.decision)


@pytest.mark.parametrize(
    ("target", "metrics", "fit"),
    [
        (
            UpliftTarget(),
            {"every_trial_qini": 0.02, "every_trial_qini_low": 0.001, "every_trial_qini_high": 0.04},
            True,
        ),
        (UpliftTarget(), {"every_trial_qini": 0.02, "every_trial_qini_low": 0.0, "every_trial_qini_high": 0.04}, False),
        (UpliftTarget(), {"qini": 0.02, "qini_low": 0.01}, False),
        (PropensityTarget(), {"brier": 0.159, "base_rate": 0.2}, True),
        (PropensityTarget(), {"brier": 0.161, "base_rate": 0.2}, False),
    ],
)
def test_what_is_no_better_than_knowing_nothing_is_unfit(target: Target, metrics: dict[str, float], fit: bool) -> None:
    assert (target.unfit(metrics) == "") is fit


def test_too_little_history_is_no_fault(tmp_path: Path) -> None:
    shop = shop_in(tmp_path)
    shop.trade(60)
    for target in (SMALL, PropensityTarget()):
        outcome = run(shop, target)
        assert (outcome.version, outcome.trained) == (None, False)
        assert "too" in outcome.reason
    assert not (tmp_path / "data" / "registry" / "mlflow.db").exists()


def pinned(shop: Shop) -> dict[str, TableVersion]:
    tables = tables_of(PropensityTarget(), load_views(shop.platform))
    return {str(table): shop.lakehouse.open(table) for table in tables}


def json_keys(text: str) -> set[str]:
    import json

    return set(json.loads(text))
