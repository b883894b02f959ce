"""`plinth contract infer` and `check`, on real databases."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy
from typer.testing import CliRunner

from plinth.contracts.cli import app
from plinth.contracts.load import load_contract

PLATFORM = """
zones: {on_prem: {root: data, clearance: [public, internal, confidential, restricted]}}
layers: {bronze: on_prem, silver: on_prem, gold: on_prem, ops: on_prem}
profiles: {small: {cpu: 1, memory: 256MiB}}
default_profile: small
sources:
  shop: {url: "sqlite:///shop.sqlite", contract: contracts/shop.odcs.yaml}
"""
TABLES = """
CREATE TABLE "Cust Mas" ("Cust No" INTEGER PRIMARY KEY NOT NULL, "E-Mail" VARCHAR(80), "select" DECIMAL(10,2), "UPDTS" DATETIME NOT NULL);
CREATE TABLE stock (day DATE, item VARCHAR(20), quantity INTEGER);
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a platform file and a small legacy database."""
    (tmp_path / "platform.yaml").write_text(PLATFORM)
    with sqlite3.connect(tmp_path / "shop.sqlite") as con:
        con.executescript(TABLES)
    con.close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def alter(shop: Path, *statements: str) -> None:
    with sqlite3.connect(shop / "shop.sqlite") as con:
        for statement in statements:
            con.execute(statement)
    con.close()


def test_a_draft_is_written_loads_and_agrees_with_its_database(shop: Path) -> None:
    code, said = run("infer", "sqlite:///shop.sqlite", "--source", "shop", "--out", "contracts/shop.odcs.yaml")
    assert (code, "2 tables drafted" in said) == (0, True)
    contract = load_contract(shop / "contracts" / "shop.odcs.yaml", "shop")
    assert [(table.name, table.key, table.cursor) for table in contract.tables] == [
        ("cust_mas", ("cust_no",), "updts"),
        ("stock", (), None),
    ]
    assert [column.name for column in contract.tables[0].columns] == ["cust_no", "e_mail", "select_", "updts"]
    for arguments in (("check",), ("check", "--source", "shop"), ("check", "contracts/shop.odcs.yaml")):
        code, said = run(*arguments)
        assert (code, "contract and database agree" in said) == (0, True)


def test_tables_of_a_second_system_get_a_prefix_and_refer_to_each_other_by_it(shop: Path) -> None:
    alter(shop, 'CREATE TABLE "名前" (who INTEGER REFERENCES "Cust Mas" ("Cust No"))')
    code, _ = run("infer", "sqlite:///shop.sqlite", "--prefix", "CRM", "--out", "contracts/crm.odcs.yaml")
    assert code == 0
    contract = load_contract(shop / "contracts" / "crm.odcs.yaml", "crm")
    assert {table.name: table.physical_name for table in contract.tables} == {
        "crm_cust_mas": "Cust Mas", "crm_stock": "stock", "crm_table_3": "名前",
    }  # fmt: skip
    assert "to: crm_cust_mas.cust_no" in (shop / "contracts" / "crm.odcs.yaml").read_text()


def test_a_table_without_columns_is_not_counted_as_drafted(shop: Path) -> None:
    alter(shop, "CREATE VIEW broken AS SELECT a FROM nowhere", "CREATE VIEW whole AS SELECT 1 AS a")
    code, said = run("infer", "sqlite:///shop.sqlite", "--out", "contracts/draft.odcs.yaml")
    assert (code, "3 tables drafted" in said) == (0, True), said
    text = (shop / "contracts" / "draft.odcs.yaml").read_text()
    assert ": 3 tables." in text and "# broken has no columns and was left out." in text
    assert "name: whole\n    physicalName: whole\n    physicalType: view\n" in text
    code, said = run("infer", "sqlite:///shop.sqlite", "--tables", "broken")
    assert code != 0 and "no table was found" in said


def test_a_declared_source_is_drafted_by_its_name_and_printed(shop: Path) -> None:
    code, said = run("infer", "shop", "--tables", "stock")
    assert code == 0
    assert "id: shop\n" in said
    assert "name: stock" in said
    assert "cust_mas" not in said


def test_drift_is_printed_and_told_by_the_exit_code(shop: Path) -> None:
    run("infer", "shop", "--out", "contracts/shop.odcs.yaml")
    alter(
        shop,
        'ALTER TABLE "Cust Mas" ADD COLUMN level CHAR(1)',
        "ALTER TABLE stock DROP COLUMN quantity",
        "CREATE TABLE extra (x INT)",
    )
    code, said = run("check", "--source", "shop")
    assert code == 1
    assert re.search(r"cust_mas .*column added .*level .*CHAR\(1\) .*lands", said)
    assert re.search(r"stock .*column removed .*quantity .*read as null", said)
    assert "not in the contract: 1 table of the database (extra)" in said
    alter(shop, "DROP TABLE stock")
    code, said = run("check", "--source", "shop")
    assert (code, "table missing" in said) == (1, True)


def test_a_rule_that_cannot_run_is_told_by_check(shop: Path) -> None:
    run("infer", "shop", "--tables", "stock", "--out", "contracts/shop.odcs.yaml")
    file = shop / "contracts" / "shop.odcs.yaml"
    rule = "    quality: [{type: custom, engine: plinth, name: mistyped, implementation: 'quantty > 0', severity: warning}]\n"
    file.write_text(file.read_text().replace("    properties:\n", rule + "    properties:\n", 1))
    code, said = run("check", "--source", "shop")
    assert code == 1
    assert "rule cannot run" in said
    assert "mistyped" in said


def test_what_cannot_be_done_is_said_without_a_trace_and_with_exit_code_2(shop: Path) -> None:
    (shop / "there.yaml").write_text("mine")
    for arguments, message in (
        (("infer", "shop", "--out", "there.yaml"), "would replace a file"),
        (("infer", "shop", "--tables", "nothing_like_it"), "no table was found"),
        (("infer", "shopp"), "there is no source 'shopp'"),
        (("check", "--source", "shopp"), "(did you mean 'shop'?)"),
        (("check", "there.yaml"), "no source has this contract"),
        (("check",), "the contract file is missing"),
    ):
        code, said = run(*arguments)
        assert (code, message in said, "Traceback" in said) == (2, True, False), said
    assert (shop / "there.yaml").read_text() == "mine"


AWKWARD = {
    "postgresql": """
        CREATE TYPE mood AS ENUM ('so, so', 'it''s #1: fine', 'no');
        CREATE TABLE "Order Lines" ("Ordér No" bigint, "select" integer, "Mixed Case" mood, amount numeric, price numeric(12,4) NOT NULL,
          tags text[], doc jsonb, "2nd" time with time zone, gap interval, cash money, key_ uuid, raw bytea, "名前" varchar(7),
          "LastModified" timestamptz NOT NULL, PRIMARY KEY ("select", "Ordér No"));
        COMMENT ON TABLE "Order Lines" IS 'What was: ordered # and when';
        CREATE TABLE "a.b" (x int, y int, FOREIGN KEY (x, y) REFERENCES "Order Lines" ("select", "Ordér No"));
        CREATE VIEW plain AS SELECT amount FROM "Order Lines";
    """,
    "mysql": """
        CREATE TABLE `Order Lines` (`Ordér No` bigint unsigned, `select` int, `Mixed Case` enum('so, so','it''s #1: fine','no'),
          flags set('a','b'), tiny tinyint(1), amount decimal(65,30), price decimal(12,4) NOT NULL, doc json, `2nd` time(6), y year, bits bit(8),
          raw longblob, `名前` varchar(7) COMMENT 'who: #1', `LastModified` timestamp(6) NOT NULL, PRIMARY KEY (`select`, `Ordér No`))
          COMMENT 'What was: ordered # and when';
        CREATE TABLE `a.b` (x int, y bigint unsigned, FOREIGN KEY (x, y) REFERENCES `Order Lines` (`select`, `Ordér No`));
        CREATE VIEW plain AS SELECT amount FROM `Order Lines`;
    """,
}


@pytest.mark.slow
@pytest.mark.parametrize("database", ["postgres_db", "mariadb_db"])
def test_a_draft_of_awkward_tables_agrees_with_its_database(
    database: str, shop: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sqlalchemy.make_url(request.getfixturevalue(database))
    dialect = "postgresql" if database == "postgres_db" else "mysql"
    engine = sqlalchemy.create_engine(
        url.set(drivername={"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}[dialect])
    )
    with engine.begin() as con:
        for statement in AWKWARD[dialect].split(";\n"):
            if statement.strip():
                con.exec_driver_sql(statement)
    engine.dispose()
    monkeypatch.setenv("SHOP_URL", url.render_as_string(hide_password=False))
    (shop / "platform.yaml").write_text(PLATFORM.replace('url: "sqlite:///shop.sqlite"', "url_env: SHOP_URL"))
    code, said = run("infer", "shop", "--out", "contracts/shop.odcs.yaml")
    assert (code, "3 tables drafted" in said) == (0, True), said
    text = (shop / "contracts" / "shop.odcs.yaml").read_text()
    assert url.password
    assert url.password not in text
    tables = {
        table.physical_name: table for table in load_contract(shop / "contracts" / "shop.odcs.yaml", "shop").tables
    }
    lines, pointing = tables["Order Lines"], tables["a.b"]
    assert (lines.name, lines.key, lines.cursor) == ("order_lines", ("select_", "order_no"), "last_modified")
    assert lines.description == "What was: ordered # and when"
    assert [rule.predicate for rule in lines.rules if rule.name == "mixed_case_enum"] == [
        "\"mixed_case\" IN ('so, so', 'it''s #1: fine', 'no')"
    ]
    assert [(each.columns, each.to_table, each.to_columns) for each in pointing.references] == [
        (("x", "y"), "order_lines", ("select_", "order_no"))
    ]
    code, said = run("check")
    assert (code, "contract and database agree" in said) == (0, True), said
