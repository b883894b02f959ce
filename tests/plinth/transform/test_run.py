"""A build publishes what passed its tests, touches nothing else, and does no work that it need not do."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from plinth.catalogue import find_table, load_contracts
from plinth.errors import CommitConflict, ConfigurationError, ResidencyViolation, TableMissing
from plinth.ingest import ingest
from plinth.lakehouse.changes import changes_since
from plinth.lakehouse.tables import Lakehouse, TableVersion
from plinth.platform import Source
from plinth.sources import open_source
from plinth.transform.model import table_id
from plinth.transform.run import Built, build
from plinth.transform.work import Mode, Status
from tests.plinth.transform.shop import GOOD, ORDERS, PEOPLE, Shop

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]


def build_shop(shop: Shop, *select: str, full_refresh: bool = False) -> Built:
    return build(shop.project, shop.lakehouse, select=select or GOOD, run="a run", full_refresh=full_refresh)


def statuses(built: Built) -> dict[str, str]:
    return {str(outcome.table): outcome.status.value for outcome in built.models}


def test_every_model_is_a_delta_table_that_says_what_it_was_made_from(shop: Shop) -> None:
    shop.open_shop()
    built = build_shop(shop)
    assert set(statuses(built).values()) == {"published"}
    totals = shop.lakehouse.open(next(outcome.table for outcome in built.models if str(outcome.table) == "gold/totals"))
    assert totals.state.asset == "gold/totals" and totals.state.run == "a run"
    orders = shop.lakehouse.open(table_id("silver/orders"))
    assert totals.state.inputs == {"silver/orders": orders.content} and totals.state.code
    assert shop.rows("gold/summary") == [(7,)]
    assert sum(row[1] for row in shop.rows("gold/totals")) == sum(1 + i % 11 for i in range(200))  # type: ignore[misc]
    described = {column.name: column for column in shop.lakehouse.open(built.models[0].table).columns}
    assert described["amount"].comment == "Amount." and described["amount"].type == "decimal(10,2)"


def test_a_full_refresh_mends_a_table_whose_file_is_damaged(shop: Shop) -> None:
    shop.open_shop()
    build_shop(shop)
    before = {table: sorted(shop.rows(table)) for table in ("silver/orders", "silver/people", "gold/totals")}
    for table in before:
        for file in shop.lakehouse.open(table_id(table)).files:
            Path(file.uri).write_bytes(Path(file.uri).read_bytes()[:100])
    shop.put(
        "bronze/orders", f"SELECT id, client, (amount + (id = 199)::INT)::DECIMAL(10, 2) AS amount FROM ({ORDERS})"
    )
    assert "full_refresh: true" in str(build_shop(shop).errors["silver/orders"]), "scopes are merged into what is there"
    built = build_shop(shop, full_refresh=True)
    assert {outcome.status for outcome in built.models} <= {Status.PUBLISHED, Status.UNCHANGED}, statuses(built)
    assert sorted(shop.rows("silver/people")) == before["silver/people"]
    assert len(set(shop.rows("silver/orders")) ^ set(before["silver/orders"])) == 2
    assert len(set(shop.rows("gold/totals")) ^ set(before["gold/totals"])) == 2


def test_a_model_that_cannot_read_an_input_names_its_table(shop: Shop) -> None:
    shop.open_shop()
    build_shop(shop)
    for file in shop.lakehouse.open(table_id("silver/people")).files:
        Path(file.uri).write_bytes(b"")
    shop.put(
        "bronze/orders", f"SELECT id, client, (amount + (id = 199)::INT)::DECIMAL(10, 2) AS amount FROM ({ORDERS})"
    )
    named = next(each for each in build_shop(shop).models if str(each.table) == "gold/named")
    assert (
        named.status is Status.WITHHELD
        and "of silver/people" in named.reason
        and str(shop.lakehouse.platform.home) not in named.reason
    )
    assert set(statuses(build_shop(shop, "people", "named", full_refresh=True)).values()) <= {"published", "unchanged"}


def test_where_nothing_changed_dbt_is_not_started_and_no_table_gets_a_version(shop: Shop) -> None:
    shop.open_shop()
    build_shop(shop)
    before = shop.versions()
    probe = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from tests.plinth.transform.shop import GOOD, Shop
from plinth.transform.run import build
shop = Shop(Path({str(shop.lakehouse.platform.home)!r}), Path({str(shop.project)!r}))
built = build(shop.project, shop.lakehouse, select=GOOD)
print({{outcome.status.value for outcome in built.models}}, {{outcome.mode.value for outcome in built.models}}, "dbt" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == "{'unchanged'} {'nothing to do'} False"
    assert shop.versions() == before


def test_only_what_stands_downstream_of_a_change_is_run(shop: Shop) -> None:
    shop.open_shop()
    build_shop(shop)
    shop.put(
        "bronze/people", "SELECT i AS client, 'x@example.com' AS email FROM range(3) t(i)", {"email": "confidential"}
    )
    modes = {str(outcome.table): outcome.mode for outcome in build_shop(shop).models}
    assert modes["silver/orders"] is modes["gold/totals"] is modes["gold/summary"] is Mode.NOTHING
    assert modes["silver/people"] is modes["gold/named"] is Mode.ALL


def test_rows_that_come_out_the_same_start_nothing_downstream(shop: Shop) -> None:
    shop.open_shop()
    before = {str(outcome.table): outcome.content for outcome in build_shop(shop).models}
    # Other addresses with the same first letter: silver/people stays what it was.
    shop.put("bronze/people", "SELECT i AS client, 'c' || i AS email FROM range(7) t(i)", {"email": "confidential"})
    outcomes = {str(outcome.table): outcome for outcome in build_shop(shop).models}
    assert outcomes["silver/people"].status is Status.UNCHANGED
    assert outcomes["silver/people"].content == before["silver/people"]
    assert outcomes["gold/named"].mode is Mode.NOTHING
    assert {outcome.mode for outcome in build_shop(shop).models} == {Mode.NOTHING}, "the new inputs were noted"


def test_where_most_scopes_are_touched_all_is_computed_and_only_what_differs_is_counted(shop: Shop) -> None:
    shop.open_shop()
    build_shop(shop)
    for clients, mode in ((2, Mode.SCOPES), (3, Mode.ALL)):
        # Few rows, the last of their clients, so that it is not the number of rows that decides.
        more = f"{clients} * (client < {clients} AND id > 192)::INT"
        shop.put("bronze/orders", f"SELECT id, client, (amount + {more})::DECIMAL(10, 2) AS amount FROM ({ORDERS})")
        totals = {str(outcome.table): outcome for outcome in build_shop(shop).models}["gold/totals"]
        assert totals.mode is mode, totals.reason
        assert (totals.inserted, totals.updated, totals.deleted) == (0, clients, 0)
    rebuilt = {str(outcome.table): outcome for outcome in build_shop(shop, full_refresh=True).models}
    assert {outcome.status for outcome in rebuilt.values()} == {Status.UNCHANGED}


def test_numbers_that_stand_twice_are_found_wherever_they_lie(shop: Shop) -> None:
    ids = "(-9223372036854775808), (9223372036854775807), (-33), (-1), (-1), (0), (31), (32), (31), (NULL), (NULL), (5)"
    shop.put("bronze/people", PEOPLE, {"email": "confidential"})
    shop.put("bronze/orders", f"SELECT id, 1::BIGINT AS client, 1::DECIMAL(10, 2) AS amount FROM (VALUES {ids}) v(id)")
    built = build_shop(shop, "orders")
    (test,) = [test for test in built.tests if test.name == "orders_id_unique"]
    assert (test.status, test.failures) == ("fail", 2)


def test_a_failed_test_withholds_the_model_and_all_that_is_made_from_it(shop: Shop) -> None:
    shop.open_shop()
    build_shop(shop)
    before, files = shop.versions(), shop.files("silver/orders")
    shop.put("bronze/orders", f"{ORDERS} UNION ALL SELECT 500::BIGINT, 3::BIGINT, -1::DECIMAL(10, 2)")
    built = build_shop(shop)
    assert statuses(built) == {
        "silver/orders": "withheld",
        "silver/people": "unchanged",
        "gold/totals": "withheld",
        "gold/summary": "withheld",
        "gold/named": "withheld",
    }
    failed = next(test for test in built.tests if test.status == "fail")
    assert failed.name == "orders_above_zero" and failed.failures == 1
    assert shop.versions() == before and shop.files("silver/orders") == files, "not even a staged file is left"
    shop.put("bronze/orders", f"{ORDERS} UNION ALL SELECT 500::BIGINT, 3::BIGINT, 1::DECIMAL(10, 2)")
    assert statuses(build_shop(shop))["gold/summary"] in ("published", "unchanged")
    assert (500, 3) in [row[:2] for row in shop.rows("silver/orders")]


def test_a_model_that_fails_says_why_without_a_value(shop: Shop) -> None:
    shop.open_shop()
    broken = build_shop(shop, "broken").models[0]
    assert broken.status is Status.WITHHELD and broken.reason.startswith("it failed: Conversion Error")
    assert "example.com" not in broken.reason


def test_a_missing_input_says_what_to_materialise_and_holds_up_only_what_needs_it(shop: Shop) -> None:
    shop.put("bronze/orders", ORDERS)
    built = build_shop(shop)
    assert statuses(built)["silver/orders"] == statuses(built)["gold/totals"] == "published"
    assert statuses(built)["silver/people"] == "failed" and statuses(built)["gold/named"] == "withheld"
    error = built.errors["silver/people"]
    assert isinstance(error, TableMissing) and "materialise bronze/people" in str(error)


def test_a_model_alone_reads_the_present_versions_of_the_others(shop: Shop) -> None:
    shop.open_shop()
    build_shop(shop)
    shop.put("bronze/orders", "SELECT 1::BIGINT AS id, 1::BIGINT AS client, 5::DECIMAL(10, 2) AS amount")
    assert statuses(build_shop(shop, "summary")) == {"gold/summary": "unchanged"}, "gold/totals was not made anew"
    build_shop(shop, "orders", "totals")
    assert statuses(build_shop(shop, "summary")) == {"gold/summary": "published"}
    assert shop.rows("gold/summary") == [(1,)]


def test_tables_without_rows_are_empty_tables_with_their_columns(shop: Shop) -> None:
    shop.open_shop(orders=f"SELECT * FROM ({ORDERS}) WHERE false")
    assert set(statuses(build_shop(shop)).values()) == {"published"}
    totals = shop.lakehouse.open(next(table for table in shop.lakehouse.tables("gold") if table.name == "totals"))
    assert [column.name for column in totals.columns] == ["client", "total", "highest"] and totals.rows == 0
    assert shop.rows("gold/totals") == [] and shop.rows("gold/summary") == [(0,)]
    shop.put("bronze/orders", ORDERS)
    build_shop(shop)
    assert shop.rows("gold/summary") == [(7,)]


def test_a_column_that_the_zone_is_not_cleared_for_is_refused_before_a_byte_is_written(shop: Shop) -> None:
    shop.open_shop()
    built = build_shop(shop, "secret")
    assert isinstance(built.errors["silver/secret"], ResidencyViolation)
    assert "email (confidential)" in str(built.errors["silver/secret"])
    assert shop.files("silver/secret") == set()


def test_personal_data_under_a_lower_classification_is_refused_by_its_descent(shop: Shop) -> None:
    shop.open_shop()
    error = build_shop(shop, "leak").errors["silver/leak"]
    assert isinstance(error, ResidencyViolation)
    assert "handle (internal) comes from bronze/people.email (confidential)" in str(error)
    assert shop.files("silver/leak") == set()
    assert build_shop(shop, "people").errors == {}, "a column that says how it was coarsened may leave"


def test_a_column_is_as_sensitive_as_its_contract_says_or_as_it_is_stored_whichever_is_stricter(
    shop: Shop, tmp_path: Path
) -> None:
    source = Source(url="sqlite:///legacy.sqlite", contract="legacy.odcs.yaml")
    lakehouse = shop.lakehouse = Lakehouse(shop.lakehouse.platform.model_copy(update={"sources": {"legacy": source}}))
    with sqlite3.connect(tmp_path / "legacy.sqlite") as legacy:
        legacy.execute("CREATE TABLE people (client INTEGER PRIMARY KEY, email TEXT)")
        legacy.execute("INSERT INTO people VALUES (1, 'ada@example.com')")
    legacy.close()

    def declare(level: str) -> None:
        client = {"name": "client", "logicalType": "integer", "primaryKey": True}
        email = {"name": "email", "logicalType": "string", "classification": level}
        values = {
            "apiVersion": "v3.2.0",
            "kind": "DataContract",
            "id": "legacy",
            "version": "1.0.0",
            "status": "active",
        }
        people = {"name": "people", "properties": [client, email]}
        (tmp_path / "legacy.odcs.yaml").write_text(yaml.safe_dump({**values, "schema": [people]}))

    def load() -> TableVersion:
        table = find_table(load_contracts(lakehouse.platform), "people")
        with closing(open_source("legacy", lakehouse.platform)) as opened:
            ingest(table, opened, lakehouse)
        return lakehouse.open(table_id("bronze/people"))

    declare("internal")
    first = load()
    declare("confidential")
    assert isinstance(build_shop(shop, "leak").errors["silver/leak"], ResidencyViolation), (
        "declared, and not loaded yet"
    )
    raised = load()
    assert raised.columns[1].classification == "confidential" and raised.content == first.content
    assert isinstance(build_shop(shop, "leak").errors["silver/leak"], ResidencyViolation)
    declare("internal")
    assert isinstance(build_shop(shop, "leak").errors["silver/leak"], ResidencyViolation), "stored, and not loaded yet"
    assert load().columns[1].classification == "internal"
    assert statuses(build_shop(shop, "leak")) == {"silver/leak": "published"}
    assert shop.rows("silver/leak") == [(1, "ada@example.com")]


def test_a_column_that_nobody_describes_is_refused(shop: Shop) -> None:
    shop.open_shop()
    build_shop(shop)
    error = build_shop(shop, "undescribed").errors["silver/undescribed"]
    assert "initial is not in the YAML" in str(error)


def test_a_table_that_another_tool_changed_is_made_anew(shop: Shop) -> None:
    shop.open_shop()
    build_shop(shop)
    good = shop.rows("gold/totals")
    shop.lakehouse.open(next(table for table in shop.lakehouse.tables("gold") if table.name == "totals")).delta.delete(
        "client = 3"
    )
    built = build_shop(shop)
    assert statuses(built)["gold/totals"] == "published" and shop.rows("gold/totals") == good


def test_of_two_writers_the_build_gives_way_and_withholds_what_it_made_from_that(shop: Shop) -> None:
    shop.open_shop()

    def be_faster(line: str) -> None:
        if line.startswith("silver/people"):
            shop.put("silver/people", "SELECT 1 AS client, 'o' AS initial")

    built = build(shop.project, shop.lakehouse, select=GOOD, tell=be_faster)
    assert isinstance(built.errors["silver/people"], CommitConflict)
    assert statuses(built)["gold/named"] == "withheld" and statuses(built)["gold/totals"] == "published"
    assert shop.rows("silver/people") == [(1, "o")]


def test_what_was_made_from_a_table_that_is_made_anew_is_made_anew(shop: Shop) -> None:
    shop.open_shop()
    build_shop(shop)
    shutil.rmtree(shop.lakehouse.uri_of(table_id("bronze/orders")))
    other = f"SELECT id, client, (amount + 100)::DECIMAL(10, 2) AS amount FROM ({ORDERS})"
    shop.put("bronze/orders", other)
    build_shop(shop)
    followed = {name: shop.rows(name) for name in ("silver/orders", "gold/totals", "gold/summary")}
    build_shop(shop, full_refresh=True)
    assert followed == {name: shop.rows(name) for name in followed}
    assert sum(row[1] for row in followed["gold/totals"]) == sum(101 + i % 11 for i in range(200))  # type: ignore[misc]


def test_what_was_made_from_a_table_that_was_put_back_from_a_copy_is_made_anew(shop: Shop, tmp_path: Path) -> None:
    shop.open_shop()
    build_shop(shop)
    folder = Path(shop.lakehouse.uri_of(table_id("bronze/orders")))
    shutil.copytree(folder, tmp_path / "copy")
    shop.put("bronze/orders", f"SELECT id, client, (amount + 1)::DECIMAL(10, 2) AS amount FROM ({ORDERS})")
    build_shop(shop)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "copy", folder)
    # The second content of another history: a number alone would say that it is the one that was read.
    shop.put("bronze/orders", f"SELECT id, client, (amount + 7)::DECIMAL(10, 2) AS amount FROM ({ORDERS})")
    build_shop(shop)
    assert sum(row[1] for row in shop.rows("gold/totals")) == sum(8 + i % 11 for i in range(200))  # type: ignore[misc]


def test_a_full_refresh_gives_the_same_rows(shop: Shop) -> None:
    shop.open_shop()
    build_shop(shop)
    before = {name: shop.rows(name) for name in shop.versions()}
    built = build_shop(shop, full_refresh=True)
    assert {outcome.mode for outcome in built.models} == {Mode.ALL}
    assert {name: shop.rows(name) for name in shop.versions()} == before


def test_killed_between_two_models_every_table_is_as_it_was(shop: Shop) -> None:
    shop.open_shop()
    build_shop(shop)
    before = {name: shop.rows(name) for name in shop.versions()}
    shop.put("bronze/orders", ORDERS.replace("range(200)", "range(300)"))
    command = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from tests.plinth.transform.shop import GOOD, Shop
from plinth.transform.run import build
shop = Shop(Path({str(shop.lakehouse.platform.home)!r}), Path({str(shop.project)!r}))
build(shop.project, shop.lakehouse, select=GOOD, tell=lambda line: print(line, flush=True))
"""
    running = subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE, text=True, cwd="/")
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("gold/totals"):
            os.kill(running.pid, signal.SIGKILL)
            break
    running.wait()
    assert {name: shop.rows(name) for name in shop.versions()} == before
    build_shop(shop)
    assert len(shop.rows("silver/orders")) == 300 and shop.rows("gold/summary") == [(7,)]


def test_plain_dbt_stores_through_the_same_door(shop: Shop) -> None:
    """`dbt build` by hand, from another folder: the plugin opens the platform that the environment names."""
    shop.open_shop()
    home = shop.lakehouse.platform.home
    (home / "platform.yaml").write_text(
        "zones:\n  on_prem: {root: on_prem, clearance: [public, internal, confidential, restricted]}\n"
        "  cloud: {root: cloud, clearance: [public, internal]}\n"
        "layers: {bronze: on_prem, silver: cloud, gold: cloud, ops: on_prem}\n"
        "profiles: {small: {cpu: 1, memory: 512MiB}}\ndefault_profile: small\n"
    )
    environment = {
        **os.environ,
        "PLINTH_PLATFORM_FILE": str(home / "platform.yaml"),
        "PLINTH_SCRATCH": str(home / "scratch"),
        "PYTHONPATH": str(ROOT),
    }
    command = [str(Path(sys.executable).with_name("dbt")), "build", "--select", "orders", "totals", "leak", "--project-dir", str(shop.project),
               "--profiles-dir", str(shop.project), "--target-path", str(home / "target"), "--log-path", str(home / "logs")]  # fmt: skip
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "handle (internal) comes from bronze/people.email" in done.stdout
    assert len(shop.rows("gold/totals")) == 7 and shop.files("silver/leak") == set()


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_changes_the_tables_are_what_a_full_computation_gives(shop: Shop, seed: int) -> None:
    """Rows come, go, change their amount and move to other clients, at random; the expected tables are computed from bronze itself."""
    drawn = random.Random(seed)
    orders = {i: (i % 40, 1 + i % 11) for i in range(1000)}
    shop.open_shop(orders=_as_sql(orders))
    build_shop(shop)
    modes = set()
    for _ in range(5):
        for _ in range(drawn.randint(1, 12)):
            number = drawn.choice([*orders, 5000 + drawn.randint(0, 100)])
            orders[number] = (drawn.randint(0, 45), drawn.randint(1, 99))
            if drawn.random() < 0.3:
                del orders[drawn.choice(list(orders))]
        shop.put("bronze/orders", _as_sql(orders))
        outcomes = {str(outcome.table): outcome for outcome in build_shop(shop, "orders", "totals").models}
        modes.add(outcomes["silver/orders"].mode)
        running, totals = _expected(orders)
        assert sorted(shop.rows("silver/orders")) == running
        assert sorted(shop.rows("gold/totals")) == totals
    assert modes == {Mode.SCOPES}


def test_a_model_follows_several_runs_of_others_by_their_feeds(shop: Shop) -> None:
    orders = {i: (i % 40, 1 + i % 11) for i in range(1000)}
    shop.open_shop(orders=_as_sql(orders))
    build_shop(shop, "orders", "totals")
    seen = shop.lakehouse.open(table_id("silver/orders"))
    for number, client in ((999, 7), (5, 8), (999, 39)):
        orders[number] = (client, 50)
        shop.put("bronze/orders", _as_sql(orders))
        build_shop(shop, "orders")
    changes = changes_since(shop.lakehouse, shop.lakehouse.open(seen.id), seen.content)
    assert changes is not None and changes.fed
    (totals,) = build_shop(shop, "totals").models
    assert totals.mode is Mode.SCOPES and totals.updated == 3
    assert sorted(shop.rows("gold/totals")) == _expected(orders)[1]


def test_a_part_of_a_scope_may_be_derived_from_the_tables_columns(shop: Shop, tmp_path: Path) -> None:
    """Anonymous orders are told apart by their number, so that one of them does not touch all."""
    # A project of its own: the shop's is shared with other modules.
    shop.project = Path(shutil.copytree(shop.project, tmp_path / "own project"))
    model = shop.project / "models" / "silver" / "orders.sql"
    model.write_text("""
        {%- set lone = "case when client is null then id end" -%}
        {{ config(strategy='scope', scope=['client', 'lone'], scope_of={'lone': lone}, key=['id']) }}
        {% call touched() %}select client, {{ lone }} as lone from {{ changed(source('bronze', 'orders')) }}{% endcall %}
        select id, client, amount, sum(amount) over (partition by client, {{ lone }} order by id) as running
        from {{ scoped(source('bronze', 'orders'), lone=lone) }}""")
    rows = "SELECT i AS id, CASE WHEN i % 3 > 0 THEN i % 40 END AS client, (i % 11 + {more})::DECIMAL(10, 2) AS amount FROM range(900) t(i)"
    shop.put("bronze/orders", rows.format(more=1))
    build_shop(shop, "orders")
    shop.put("bronze/orders", rows.format(more="1 + (i IN (6, 7))::INT"))
    (orders,) = build_shop(shop, "orders").models
    assert orders.mode is Mode.SCOPES and "2 scopes touched" in orders.reason
    followed = shop.rows("silver/orders")
    build_shop(shop, "orders", full_refresh=True)
    assert shop.rows("silver/orders") == followed
    model.write_text(model.read_text().replace("scope=['client', 'lone']", "scope=['client']"))
    with pytest.raises(ConfigurationError, match="scope_of"):
        build_shop(shop, "orders")


def test_of_a_table_made_from_many_rows_the_scopes_are_counted_not_its_rows(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each client has two rows: three of seven clients are many, three of fourteen rows would not be."""
    shop.project = Path(shutil.copytree(shop.project, tmp_path / "own project"))
    (shop.project / "models" / "gold" / "totals.sql").write_text("""
        {{ config(strategy='scope', scope=['client'], key=['client', 'highest']) }}
        {% call touched() %}select client from {{ changed(source('bronze', 'orders')) }}{% endcall %}
        select client, cast(sum(amount) as decimal(18, 2)) as total, max(id % 2) as highest
        from {{ scoped(source('bronze', 'orders')) }} group by client, id % 2""")
    described = shop.project / "models" / "models.yml"
    described.write_text(described.read_text().replace("{columns: [client]}", "{columns: [client, highest]}"))
    rows = "SELECT i AS id, i % 7 AS client, (i % 11 + 1 + (i IN ({more}))::INT)::DECIMAL(10, 2) AS amount FROM range(200) t(i)"

    def change(*orders: int) -> str:
        shop.put("bronze/orders", rows.format(more=", ".join(str(each) for each in orders) or "-1"))
        (totals,) = build_shop(shop, "totals").models
        return totals.reason

    change()
    monkeypatch.setattr("plinth.transform.extent._MANY_ROWS", 10**6)
    assert "3 scopes touched" in change(3, 4, 5)
    monkeypatch.setattr("plinth.transform.extent._MANY_ROWS", 100)
    assert "3 scopes touched, too many of 7 to pick out" in change()
    assert "1 scopes touched" in change(6)


def _as_sql(orders: dict[int, tuple[int, int]]) -> str:
    values = ", ".join(f"({number}, {client}, {amount})" for number, (client, amount) in orders.items())
    return f"SELECT i::BIGINT AS id, c::BIGINT AS client, a::DECIMAL(10, 2) AS amount FROM (VALUES {values}) t(i, c, a)"


def _expected(orders: dict[int, tuple[int, int]]) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    sums: dict[int, int] = {}
    running = []
    for number, (client, amount) in sorted(orders.items()):
        sums[client] = sums.get(client, 0) + amount
        running.append((number, client, amount, sums[client]))
    return running, [(client, total, total) for client, total in sorted(sums.items())]
