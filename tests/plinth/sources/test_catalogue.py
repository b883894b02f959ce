"""What a database says of its tables comes in one shape, whatever the engine, by its own catalogue and by SQLAlchemy's."""

from __future__ import annotations

import pytest

from plinth.engine import connect
from plinth.errors import SourceUnreadable
from plinth.profile import Profile
from plinth.sources import open_url
from plinth.sources.catalogue import ForeignKey, SourceTable
from tests.plinth.sources.writers import writer

pytestmark = pytest.mark.slow

SETUP = {
    "postgres_db": (
        "CREATE SCHEMA sales",
        "CREATE TYPE sales.mood AS ENUM ('good', 'it''s bad')",
        (
            "CREATE TABLE sales.customers (no int, land char(2), name varchar(40) NOT NULL DEFAULT 'x', mood sales.mood, mail text, "
            "PRIMARY KEY (land, no), UNIQUE (mail))"
        ),
        "CREATE INDEX ON sales.customers (name, mail)",
        "CREATE UNIQUE INDEX ON sales.customers (lower(mail))",
        "CREATE UNIQUE INDEX ON sales.customers (name) WHERE no > 5",
        "COMMENT ON TABLE sales.customers IS 'who buys'",
        "COMMENT ON COLUMN sales.customers.name IS 'as printed'",
        (
            "CREATE TABLE sales.orders (id bigserial PRIMARY KEY, cust int, land char(2), total numeric(12,2), tags text[], "
            "FOREIGN KEY (land, cust) REFERENCES sales.customers (land, no))"
        ),
        "CREATE VIEW sales.big AS SELECT id, total FROM sales.orders",
        "CREATE TABLE plain (a int)",
    ),
    "mariadb_db": (
        (
            "CREATE TABLE customers (no int, land char(2), name varchar(40) NOT NULL DEFAULT 'x' COMMENT 'as printed', "
            "mood enum('good','it''s bad'), mail varchar(200), PRIMARY KEY (land, no), UNIQUE (mail), KEY (name, mail), KEY (mail(5))) "
            "COMMENT 'who buys'"
        ),
        (
            "CREATE TABLE orders (id bigint PRIMARY KEY AUTO_INCREMENT, cust int, land char(2), total decimal(12,2), tags text, "
            "FOREIGN KEY (land, cust) REFERENCES customers (land, no))"
        ),
        "CREATE VIEW big AS SELECT id, total FROM orders",
        "CREATE TABLE plain (a int)",
    ),
    "sqlite_db": (
        (
            "CREATE TABLE customers (no int, land char(2), name varchar(40) NOT NULL DEFAULT 'x', mood text, mail text UNIQUE, "
            "PRIMARY KEY (land, no))"
        ),
        "CREATE INDEX names ON customers (name, mail)",
        "CREATE UNIQUE INDEX some ON customers (name) WHERE no > 5",
        (
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, cust int, land char(2), total numeric(12,2), tags text, "
            "FOREIGN KEY (land, cust) REFERENCES customers)"
        ),
        "CREATE VIEW big AS SELECT id, total FROM orders",
        "CREATE VIEW broken AS SELECT a FROM nowhere",
        "CREATE TABLE plain (a int)",
    ),
}


def described(request: pytest.FixtureRequest, dialect: str, batches: bool) -> dict[str, SourceTable]:
    url = request.getfixturevalue(dialect)
    writer(url)(*(each for each in SETUP[dialect] if not (batches and "nowhere" in each)))
    return {each.name: each for each in open_url(url, force_batches=batches).describe()}


@pytest.mark.parametrize("batches", [False, True], ids=["own", "sqlalchemy"])
@pytest.mark.parametrize("dialect", SETUP)
def test_columns_keys_indexes_and_references_are_told(
    request: pytest.FixtureRequest, dialect: str, batches: bool
) -> None:
    tables = described(request, dialect, batches)
    assert {"customers", "orders", "big", "plain"} <= set(tables)
    customers, orders = tables["customers"], tables["orders"]
    assert [column.name for column in customers.columns] == ["no", "land", "name", "mood", "mail"]
    assert [column.nullable for column in customers.columns][2:] == [False, True, True]
    assert "x" in (customers.columns[2].default or "")
    assert (customers.key, customers.key_enforced) == (("land", "no"), True)
    assert ("mail",) in customers.unique
    assert ("name",) not in customers.unique or batches  # it holds for some rows only
    assert ("name", "mail") in customers.indexed
    assert ("land", "no") in customers.indexed
    assert orders.key == ("id",)
    assert [(each.columns, each.to_table, each.to_columns) for each in orders.foreign_keys] == [
        (("land", "cust"), "customers", ("land", "no"))
    ]
    assert (tables["plain"].key, tables["plain"].key_enforced, tables["plain"].unique) == ((), False, ())
    assert tables["big"].key == ()
    assert [name for name, table in sorted(tables.items()) if table.view and table.columns] == ["big"]


@pytest.mark.parametrize("dialect", ["postgres_db", "mariadb_db"])
def test_comments_and_enum_values_are_told(request: pytest.FixtureRequest, dialect: str) -> None:
    customers = described(request, dialect, False)["customers"]
    assert customers.comment == "who buys"
    assert customers.columns[2].comment == "as printed"
    assert customers.columns[3].enum_values == ("good", "it's bad")
    assert customers.columns[2].enum_values == ()


def test_physical_types_are_spelled_as_the_database_spells_them(request: pytest.FixtureRequest) -> None:
    postgres = described(request, "postgres_db", False)
    assert [column.physical_type for column in postgres["orders"].columns] == [
        "bigint", "integer", "character(2)", "numeric(12,2)", "text[]",
    ]  # fmt: skip
    maria = described(request, "mariadb_db", False)
    assert [column.physical_type for column in maria["orders"].columns] == [
        "bigint(20)", "int(11)", "char(2)", "decimal(12,2)", "text",
    ]  # fmt: skip


def test_schemas_are_told_where_there_are_some(request: pytest.FixtureRequest) -> None:
    postgres = described(request, "postgres_db", False)
    assert (postgres["customers"].schema, postgres["plain"].schema) == ("sales", "public")
    assert postgres["orders"].foreign_keys == (ForeignKey(("land", "cust"), "sales", "customers", ("land", "no")),)
    assert described(request, "sqlite_db", False)["plain"].schema is None


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("sales.*", {"big", "customers", "orders"}),
        ("*o*", {"customers", "orders"}),
        ("orders", {"orders"}),
        ("ORDERS", set()),
        ("public.p*", {"plain"}),
        (None, {"big", "customers", "orders", "plain"}),
    ],
)
def test_a_pattern_chooses_by_table_or_by_schema_and_table(
    request: pytest.FixtureRequest, postgres_db: str, pattern: str | None, names: set[str]
) -> None:
    writer(postgres_db)(*SETUP["postgres_db"])
    assert {each.name for each in open_url(postgres_db).describe(pattern)} == names


def test_the_way_by_which_rows_are_read_tells_the_same(postgres_db: str) -> None:
    odd = """sales."it's {0} 100%" """
    writer(postgres_db)(*SETUP["postgres_db"], f'CREATE TABLE {odd} (id int PRIMARY KEY, "a%s" sales.mood[])')
    source, con = open_url(postgres_db), connect(Profile(cpu=1, memory=2**30))
    with source.asking(con) as look:
        assert look(None, None) == source.tables()
        assert look("sales", "orders") == source.tables("sales", "orders") != ()
        assert look("sales", "it's {0} 100%") == source.tables("sales", "it's {0} 100%") != ()
        assert look(None, "nowhere") == ()
        for hostile in ("o\\' OR true --", "\\", "o'; SELECT 1"):
            assert look(None, hostile) == source.tables(None, hostile) == ()
    with source.asking(con) as look:  # nothing is left behind that would be in the way of the next
        assert look("public", None) == source.tables("public")


def test_the_way_by_which_rows_are_read_tells_of_a_server_that_refuses(postgres_db: str) -> None:
    con, wrong = connect(Profile(cpu=1, memory=2**30)), postgres_db.replace("plinth:", "nobody:")
    with pytest.raises(SourceUnreadable, match="refused the platform's user"), open_url(wrong).asking(con):
        pass


def test_a_broken_view_stands_without_columns_and_hides_nothing(request: pytest.FixtureRequest) -> None:
    tables = described(request, "sqlite_db", False)
    assert tables["broken"].columns == ()
    assert len(tables) == 5


def test_partitions_stand_within_their_table(postgres_db: str) -> None:
    writer(postgres_db)(
        "CREATE TABLE t (id int, d date) PARTITION BY RANGE (d)",
        "CREATE TABLE t_2020 PARTITION OF t FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
        "INSERT INTO t VALUES (1, '2020-05-05')",
    )
    assert [each.name for each in open_url(postgres_db).describe()] == ["t"]


def test_row_estimates_are_the_planners(postgres_db: str, mariadb_db: str, sqlite_db: str) -> None:
    rows = "(" + "), (".join(str(number) for number in range(50)) + ")"
    for url in (postgres_db, mariadb_db, sqlite_db):
        analyze = "ANALYZE TABLE t" if url.startswith("mariadb") else "ANALYZE"
        writer(url)("CREATE TABLE t (id int PRIMARY KEY)", f"INSERT INTO t VALUES {rows}", analyze)
        assert open_url(url).describe("t")[0].row_estimate == 50
