"""Drafts of contracts: they load again whatever the database calls its tables, and say what was guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from plinth.contracts.document import read_document
from plinth.contracts.drift import compare
from plinth.contracts.guess import GUESSED, guess_classification, guess_cursor
from plinth.contracts.infer import infer
from plinth.contracts.load import load_contract
from plinth.contracts.model import Contract, Mode, Reference
from plinth.sources.catalogue import ForeignKey, SourceColumn, SourceTable
from tests.plinth.contracts.writing import odcs_faults


def source_column(name: str, kind: str = "varchar(20)", *, nullable: bool = True, **facts: object) -> SourceColumn:
    comment = facts.pop("comment", None)
    return SourceColumn(name, kind, nullable, comment, **facts)  # type: ignore[arg-type]


def source_table(name: str, *columns: SourceColumn, key: tuple[str, ...] = (), **facts: object) -> SourceTable:
    stated: dict[str, object] = {
        "schema": None, "key_enforced": bool(key), "unique": (), "indexed": (), "foreign_keys": (), "comment": None, "row_estimate": None,
    }  # fmt: skip
    return SourceTable(name=name, columns=columns, key=key, **{**stated, **facts})  # type: ignore[arg-type]


def drafted(folder: Path, *tables: SourceTable, dialect: str = "postgresql") -> tuple[str, Contract]:
    """The draft and what it loads as; it must be valid ODCS by the standard's own JSON schema."""
    text = infer(tables, source="shop", dialect=dialect, origin=f"{dialect}://db.example/shop")
    path = folder / "draft.odcs.yaml"
    path.write_text(text, encoding="utf-8")
    assert odcs_faults(read_document(path).values) == []
    return text, load_contract(path, "shop")


CUSTOMERS = source_table(
    "Customers",
    source_column("Cust No", "integer", nullable=False, comment="Given once: never reused.\nSee #12"),
    source_column("E-Mail", "character varying(80)"),
    source_column("Level", "loyalty", enum_values=("no", "gold #1", "it's, {x}: y")),
    source_column("Balance", "numeric"),
    source_column("UPDTS", "timestamp(6) with time zone", nullable=False),
    key=("Cust No",), schema="sales", unique=(("E-Mail",),), indexed=(("UPDTS",), ("Cust No",)), comment="Who buys.", row_estimate=12345,
)  # fmt: skip
ORDERS = source_table(
    "Order",
    source_column("region", "char(2)", nullable=False),
    source_column("no", "bigint", nullable=False),
    source_column("customer", "integer"),
    key=("region", "no"), schema="sales",
    foreign_keys=(ForeignKey(("customer",), "sales", "Customers", ("Cust No",)), ForeignKey(("customer",), "hr", "People", ("id",))),
)  # fmt: skip
LINES = source_table(
    "order lines",
    source_column("region", "char(2)"),
    source_column("order", "bigint"),
    schema="sales",
    foreign_keys=(ForeignKey(("region", "order"), None, "Order", ("region", "no")),),
)


def test_a_draft_says_all_that_the_database_knows(tmp_path: Path) -> None:
    text, contract = drafted(tmp_path, CUSTOMERS, ORDERS, LINES)
    customers, orders, lines = contract.tables
    assert (customers.name, customers.physical_schema, customers.physical_name) == (
        "customers",
        "sales",
        "Customers",
    )
    assert (customers.key, customers.mode, customers.cursor) == (("cust_no",), Mode.INCREMENTAL, "updts")
    assert customers.description == "Who buys."
    number, mail, level, _, changed = customers.columns
    assert (number.name, number.physical_name, number.physical_type, number.logical_type) == (
        "cust_no",
        "Cust No",
        "integer",
        "integer",
    )
    assert (number.required, number.description) == (True, "Given once: never reused.\nSee #12")
    assert (mail.classification, mail.tags, mail.unique, mail.required) == (
        "confidential",
        (GUESSED,),
        True,
        False,
    )
    assert (changed.name, changed.logical_type, changed.physical_type) == (
        "updts",
        "timestamp",
        "timestamp(6) with time zone",
    )
    assert [rule.predicate for rule in customers.rules if rule.name == "level_enum"] == [
        f"\"{level.name}\" IN ('no', 'gold #1', 'it''s, {{x}}: y')"
    ]
    assert (orders.name, orders.key, orders.mode) == ("order_", ("region", "no_"), Mode.SNAPSHOT)
    assert orders.references == (Reference(("customer",), "customers", ("cust_no",)),)
    assert (lines.name, lines.key) == ("order_lines", ())
    assert lines.references == (Reference(("region", "order_"), "order_", ("region", "no_")),)
    for said in (
        "12,345 rows",
        "points at People, which is not in this contract",
        "states no key",
        "A guess: UPDTS",
        "how many digits",
    ):
        assert said in text


def test_a_draft_and_its_database_do_not_differ(tmp_path: Path) -> None:
    for dialect in ("postgresql", "sqlite", "mysql"):
        _, contract = drafted(tmp_path, CUSTOMERS, ORDERS, LINES, dialect=dialect)
        for table, found in zip(contract.tables, (CUSTOMERS, ORDERS, LINES), strict=True):
            assert compare(table, found) == ()


def test_a_draft_reads_like_a_person_wrote_it(tmp_path: Path) -> None:
    text, _ = drafted(tmp_path, ORDERS)
    start = text.index("schema:")
    assert (
        text[start:]
        == """\
schema:
  - name: order_
    physicalName: sales.Order
    physicalType: table
    logicalType: object
    customProperties:
      - {property: mode, value: snapshot}
    properties:
      - name: region
        physicalType: char(2)
        logicalType: string
        primaryKey: true
        primaryKeyPosition: 1
        required: true
      - name: no_
        physicalName: "no"
        physicalType: bigint
        logicalType: integer
        primaryKey: true
        primaryKeyPosition: 2
        required: true
      - name: customer
        physicalType: integer
        logicalType: integer
        # points at Customers, which is not in this contract
        # points at People, which is not in this contract
"""
    )


def test_sqlite_gets_delta_types_since_its_own_are_loose(tmp_path: Path) -> None:
    table = source_table(
        "T",
        source_column("price", "DECIMAL(12,4)"),
        source_column("n", "INTEGER"),
        source_column("x", "NUMERIC"),
    )
    _, contract = drafted(tmp_path, table, dialect="sqlite")
    assert [column.delta_type for column in contract.tables[0].columns] == ["decimal(12,4)", "long", None]
    _, contract = drafted(tmp_path, table, dialect="mysql")
    assert {column.delta_type for column in contract.tables[0].columns} == {None}


def test_a_number_of_more_digits_than_a_decimal_holds_is_said_to_be_text_and_one_of_any_digits_to_be_unknown(
    tmp_path: Path,
) -> None:
    wide, loose = source_column("wide", "numeric(50,10)"), source_column("loose", "numeric")
    text, _ = drafted(tmp_path, source_table("T", wide))
    assert "More than 38 digits, so it is read as text" in text and "does not say" not in text
    text, _ = drafted(tmp_path, source_table("T", source_column("wide", "decimal(65,30)")), dialect="mysql")
    assert "More than 38 digits, so it is read as text" in text
    text, _ = drafted(tmp_path, source_table("T", loose))
    assert "does not say how many digits" in text and "More than 38" not in text


def test_a_view_is_drafted_as_one(tmp_path: Path) -> None:
    text, _ = drafted(tmp_path, source_table("T", source_column("a")), source_table("V", source_column("a"), view=True))
    assert [line.strip() for line in text.splitlines() if line.startswith("    physicalType")] == [
        "physicalType: table",
        "physicalType: view",
    ]


def test_two_schemas_with_a_table_of_one_name_get_two_names(tmp_path: Path) -> None:
    one, two = (source_table("Orders", source_column("id"), schema=schema) for schema in ("north", "south"))
    _, contract = drafted(tmp_path, one, two, source_table("Items", source_column("id"), schema="north"))
    assert [table.name for table in contract.tables] == ["north_orders", "south_orders", "items"]


def test_a_unique_set_of_required_columns_stands_in_for_a_missing_key(tmp_path: Path) -> None:
    columns = [source_column("a", nullable=False), source_column("b", nullable=False), source_column("c")]
    table = source_table("T", *columns, unique=(("c",), ("a", "b")))
    text, contract = drafted(tmp_path, table)
    assert contract.tables[0].key == ("a", "b")
    assert "No primary key; (a, b) is unique and never null" in text


def test_a_key_that_the_database_does_not_enforce_is_told(tmp_path: Path) -> None:
    text, _ = drafted(tmp_path, source_table("T", source_column("a", nullable=False), key=("a",), key_enforced=False))
    assert "does not enforce it" in text


def test_a_set_is_no_enum_and_a_table_without_columns_is_left_out(tmp_path: Path) -> None:
    table = source_table("T", source_column("flags", "set('a','b')", enum_values=("a", "b")))
    text, contract = drafted(tmp_path, table, source_table("empty"), dialect="mysql")
    assert contract.tables[0].rules == ()
    assert "# any of: a, b" in text
    assert "# empty has no columns and was left out." in text


names = st.text(min_size=1, max_size=16) | st.sampled_from(
    ["select", "Order Lines", "1st", "näme", "x.y", 'a"b', "a: b", "# no", "- x", "null", "yes", "~", "{x}", "é", "名前", "1e5", "0x1F", "12:30:45", "int[]", "[x", "a,b", "numeric(1,2)", "=", "@a", "%a", "a:", "?", "...", "---", "!x", "*x", "&x"]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(names, st.lists(names, min_size=1, max_size=5, unique=True), names),
        min_size=1,
        max_size=4,
        unique_by=lambda t: t[0],
    )
)
def test_a_draft_loads_again_whatever_the_names_and_comments_are(
    tmp_path_factory: pytest.TempPathFactory, tables: list[tuple[str, list[str], str]]
) -> None:
    described = [
        source_table(
            name,
            *(source_column(each, nullable=False, comment=text, enum_values=(text,)) for each in columns),
            key=(columns[-1],),
            schema=name[::-1],
            comment=text,
        )
        for name, columns, text in tables
    ]
    path = tmp_path_factory.getbasetemp() / "awkward.yaml"
    path.write_bytes(infer(described, source="shop", dialect="mysql").encode())
    contract = load_contract(path, "shop")
    for table, (name, columns, text) in zip(contract.tables, tables, strict=True):
        assert (table.physical_schema, table.physical_name) == (name[::-1], name)
        assert [column.physical_name for column in table.columns] == columns
        assert {column.description for column in table.columns} == {text}
        assert table.column(table.key[0]).physical_name == columns[-1]


def test_a_draft_of_a_mysql_database_is_tied_to_no_database() -> None:
    tables = [
        source_table("orders", source_column("id"), key=("id",), schema="shop_test"),
        source_table("a.b", source_column("id"), key=("id",), schema="shop_test"),
        source_table("rates", source_column("id"), key=("id",), schema="shared"),
    ]
    text = infer(tables, source="shop", dialect="mysql", home="shop_test")
    names = [table["physicalName"] for table in yaml.safe_load(text)["schema"]]
    assert names == ["orders", '"a.b"', "shared.rates"]
    assert "shop_test" not in text


CHANGED = ["UPDTS", "updated_at", "UpdatedAt", "last_modified", "LastUpdateDate", "date_modified", "modified", "row_upd_ts", "CHGDAT",
           "changed_on", "AEDAT", "geaendert_am", "MODIFIED_TIME", "upd_date", "modify_time", "lastUpdated"]  # fmt: skip
NOT_CHANGED = [
    "created_at",
    "INVTS",
    "update_count",
    "mod",
    "date",
    "timestamp",
    "moderated_at",
    "changes",
    "CRTDT",
    "updated_by",
    "expiry",
]


@pytest.mark.parametrize("name", CHANGED)
def test_a_time_of_last_change_is_recognised(name: str) -> None:
    table = source_table("t", source_column("id"), source_column(name, "timestamp", nullable=False), key=("id",))
    found = guess_cursor(table)
    assert found is not None
    assert found.column == name


@pytest.mark.parametrize("name", NOT_CHANGED)
def test_other_times_are_no_cursor(name: str) -> None:
    table = source_table("t", source_column("id"), source_column(name, "timestamp", nullable=False), key=("id",))
    assert guess_cursor(table) is None


def test_a_cursor_is_guessed_only_where_it_can_work() -> None:
    stamp = source_column("updated_at", "timestamp", nullable=False)
    loose = source_column("updated_at", "timestamp")
    assert guess_cursor(source_table("t", source_column("id"), stamp)) is None
    assert guess_cursor(source_table("t", source_column("id"), loose, key=("id",))) is None
    assert (
        guess_cursor(source_table("t", source_column("id"), source_column("updated_at", nullable=False), key=("id",)))
        is None
    )
    assert guess_cursor(source_table("t", loose, key=("id",), indexed=(("id", "updated_at"),))) is None
    found = guess_cursor(source_table("t", source_column("id"), loose, key=("id",), indexed=(("updated_at",),)))
    assert found is not None
    assert "may be null" in found.reason
    assert "found only by the comparison of keys" in found.check


def test_the_better_of_two_cursors_is_taken() -> None:
    day, stamp = (
        source_column("changed_on", "date", nullable=False),
        source_column("updated_at", "timestamp", nullable=False),
    )
    found = guess_cursor(source_table("t", day, stamp, key=("id",), indexed=(("changed_on",),)))
    assert found is not None
    assert found.column == "updated_at"
    assert "an index on it would spare" in found.check


@pytest.mark.parametrize(
    ("table", "column", "level"),
    [
        ("CUSTMAS", "EMAIL", "confidential"), ("CUSTMAS", "CUSTNM", "confidential"), ("CUSTMAS", "PHONE", "confidential"),
        ("CUSTMAS", "POSTCD", "confidential"), ("CUSTMAS", "BIRTHDT", "restricted"), ("users", "dateOfBirth", "restricted"),
        ("t", "first_name", "confidential"), ("t", "LastName", "confidential"), ("t", "address_line_1", "confidential"),
        ("t", "IBAN", "restricted"), ("t", "password_hash", "restricted"), ("employees", "name", "confidential"), ("t", "ZipCode", "confidential"),
        ("t", "mobile_phone_2", "confidential"), ("t", "ip_address", "confidential"), ("ITEMMAS", "DESCR", None), ("PROMOS", "PROMNM", None),
        ("products", "name", None), ("t", "country", None), ("t", "quantity", None), ("t", "hotel_id", None), ("t", "shipping_date", None),
        ("t", "description", None), ("t", "cellar", None), ("t", "latest", None),
    ],
)  # fmt: skip
def test_personal_data_is_guessed_from_names(table: str, column: str, level: str | None) -> None:
    assert guess_classification(table, column) == level
