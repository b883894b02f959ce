"""What differs between contract and database, and what each policy lets pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plinth.contracts.drift import UNREVIEWED, DifferenceKind, compare, settle_drift
from plinth.contracts.model import Column, Drift, Mode, Table
from plinth.errors import SchemaDrift
from plinth.sources.catalogue import SourceColumn, SourceTable

LIVE = SourceTable(
    schema="sales", name="ORDERS", key=("ID",), key_enforced=True, unique=(), indexed=(("ID",),), foreign_keys=(), comment=None, row_estimate=9,
    columns=(
        SourceColumn("ID", "integer", False, None), SourceColumn("UPD", "timestamp without time zone", False, None),
        SourceColumn("PRICE", "numeric(10,2)", True, None), SourceColumn("NOTE", "character varying(20)", True, None),
    ),
)  # fmt: skip
TABLE = Table(
    source="erp", name="orders", physical_name="ORDERS", physical_schema="sales", key=("id",), cursor="updated_at", mode=Mode.INCREMENTAL,
    columns=(
        Column("id", "ID", "INTEGER", "integer", required=True), Column("updated_at", "UPD", "TIMESTAMP", "timestamp", required=True),
        Column("price", "PRICE", "NUMERIC(10,2)", "number"), Column("note", "NOTE", "VARCHAR(20)", "string"),
    ),
)  # fmt: skip


def live(**changes: SourceColumn | None) -> SourceTable:
    """The live table with columns replaced, taken out (None) or added."""
    kept = [changes.pop(column.name, column) for column in LIVE.columns]
    return replace(LIVE, columns=tuple(column for column in (*kept, *changes.values()) if column is not None))


def typed(name: str, kind: str, *, nullable: bool = True) -> SourceColumn:
    return SourceColumn(name, kind, nullable, None)


def without(name: str) -> SourceTable:
    return live(**{name: None})


NEW = live(LEVEL=typed("LEVEL", "char(1)"))
MATRIX: list[tuple[str, SourceTable, DifferenceKind, bool]] = [
    ("new column", NEW, DifferenceKind.ADDED, True),
    ("new required column", live(LEVEL=typed("LEVEL", "char(1)", nullable=False)), DifferenceKind.ADDED, True),
    ("nullable column gone", without("NOTE"), DifferenceKind.REMOVED, True),
    ("cursor gone", without("UPD"), DifferenceKind.REMOVED, False),
    ("wider number", live(PRICE=typed("PRICE", "numeric(12,2)")), DifferenceKind.WIDENED, True),
    ("longer text", live(NOTE=typed("NOTE", "character varying(40)")), DifferenceKind.WIDENED, True),
    ("unbounded text", live(NOTE=typed("NOTE", "text")), DifferenceKind.WIDENED, True),
    ("wider key", live(ID=typed("ID", "bigint", nullable=False)), DifferenceKind.WIDENED, True),
    ("narrower number", live(PRICE=typed("PRICE", "numeric(8,2)")), DifferenceKind.NARROWED, True),
    ("shorter text", live(NOTE=typed("NOTE", "character varying(10)")), DifferenceKind.NARROWED, True),
    ("time stamp to date", live(UPD=typed("UPD", "date", nullable=False)), DifferenceKind.NARROWED, True),
    ("number to text", live(PRICE=typed("PRICE", "text")), DifferenceKind.CHANGED, False),
    ("number without digits", live(PRICE=typed("PRICE", "numeric")), DifferenceKind.CHANGED, False),
    ("time stamp with zone", live(UPD=typed("UPD", "timestamp with time zone", nullable=False)), DifferenceKind.CHANGED, False),
    ("key may be null", live(ID=typed("ID", "integer")), DifferenceKind.NULLABLE, True),
    ("key grew", replace(LIVE, key=("ID", "NOTE")), DifferenceKind.KEY_GREW, False),
    ("other key", replace(LIVE, key=("NOTE",)), DifferenceKind.KEY_CHANGED, True),
]  # fmt: skip


@pytest.mark.parametrize("policy", list(Drift))
@pytest.mark.parametrize(("found", "kind", "passes"), [row[1:] for row in MATRIX], ids=[row[0] for row in MATRIX])
def test_a_difference_is_told_and_passes_only_where_nothing_is_lost(
    found: SourceTable, kind: DifferenceKind, passes: bool, policy: Drift
) -> None:
    table = replace(TABLE, drift=policy)
    (difference,) = compare(table, found)
    assert difference.kind is kind
    if passes and policy is not Drift.FREEZE:
        _, lines = settle_drift(table, found)
        assert lines == (difference.message,)
        return
    with pytest.raises(SchemaDrift) as caught:
        settle_drift(table, found)
    assert kind.value in str(caught.value)
    assert difference.expected in str(caught.value)
    assert difference.found in str(caught.value)


def test_a_contract_and_its_database_do_not_differ() -> None:
    assert compare(TABLE, LIVE) == ()
    assert settle_drift(replace(TABLE, drift=Drift.FREEZE), LIVE) == (replace(TABLE, drift=Drift.FREEZE), ())


def test_evolve_lands_a_new_column_as_nullable_and_restricted_until_it_is_reviewed() -> None:
    amended, _ = settle_drift(TABLE, live(**{"Note ": typed("Note ", "char(1)", nullable=False)}))
    new = amended.columns[-1]
    assert (new.name, new.physical_name, new.physical_type, new.required) == (
        "note_2",
        "Note ",
        "char(1)",
        False,
    )
    assert (new.classification, new.tags) == ("restricted", (UNREVIEWED,))
    assert amended.columns[:-1] == TABLE.columns


def test_discard_ignores_a_new_column_but_tells_of_it() -> None:
    table = replace(TABLE, drift=Drift.DISCARD)
    amended, lines = settle_drift(table, NEW)
    assert amended == table
    assert "LEVEL" in lines[0]


@pytest.mark.parametrize("policy", [Drift.EVOLVE, Drift.DISCARD])
def test_a_lost_column_stays_and_is_read_as_null_of_its_type(policy: Drift) -> None:
    amended, lines = settle_drift(replace(TABLE, drift=policy), without("PRICE"))
    assert [(column.name, column.absent) for column in amended.columns] == [
        ("id", False), ("updated_at", False), ("price", True), ("note", False),
    ]  # fmt: skip
    assert amended.column("price").delta_type == "decimal(10,2)"
    assert "null from now on" in lines[0]


@pytest.mark.parametrize(
    ("change", "role"),
    [
        ({"key": ("note",), "cursor": None}, "a key column"),
        ({"cursor": "note"}, "the cursor"),
        ({"partition_by": ("note",)}, "a partition column"),
        ({"columns": (*TABLE.columns[:3], replace(TABLE.columns[3], required=True))}, "required"),
    ],
)
def test_a_lost_column_that_the_table_rests_on_is_refused_with_the_reason(change: dict[str, object], role: str) -> None:
    table = replace(TABLE, **change)  # type: ignore[arg-type]
    assert role in next(each.message for each in compare(table, without("NOTE")) if each.kind is DifferenceKind.REMOVED)
    with pytest.raises(SchemaDrift):
        settle_drift(table, without("NOTE"))


def test_a_lost_column_with_a_new_one_of_like_name_is_asked_for_a_renaming() -> None:
    found = live(NOTE=None, NOTES=typed("NOTES", "text"))
    assert "was it renamed to 'NOTES'?" in compare(TABLE, found)[0].message


@pytest.mark.parametrize(
    ("delta", "stated", "now", "kind"),
    [
        ("long", "BIGINT", "INTEGER", None),
        ("long", None, "smallint", None),
        ("decimal(12,4)", "DECIMAL(12,4)", "decimal(10,2)", None),
        ("decimal(12,4)", "REAL", "REAL", None),
        ("timestamp_ntz", "TIMESTAMP", "DATETIME", None),
        ("string", "VARCHAR(9)", "varchar(9)", None),
        ("string", None, "jsonb", None),
        ("long", None, "numeric(30,0)", DifferenceKind.WIDENED),
        ("long", "BIGINT", "text", DifferenceKind.CHANGED),
        ("integer", "INTEGER", "bigint", DifferenceKind.WIDENED),
    ],
)
def test_a_fixed_delta_type_holds_whatever_fits_and_tells_of_the_rest(
    delta: str, stated: str | None, now: str, kind: DifferenceKind | None
) -> None:
    table = replace(TABLE, columns=(*TABLE.columns[:2], Column("price", "PRICE", stated, delta_type=delta)))
    found = replace(LIVE, columns=(*LIVE.columns[:2], typed("PRICE", now)))
    differences = compare(table, found)
    assert [each.kind for each in differences] == ([kind] if kind else [])
    if kind:
        assert f"cast to {delta}, and what does not fit goes to quarantine" in differences[0].message
    settle_drift(table, found)


@pytest.mark.parametrize(
    ("stated", "now"),
    [
        ("INTEGER", "int(11)"), ("VARCHAR(20)", "character varying(20)"), ("DECIMAL(10,2)", "numeric(10, 2)"), ("TIMESTAMP", "datetime(6)"),
        ("double", "double precision"), ("BOOLEAN", "bool"), (None, "text"), ("uuid", "UUID"), ("integer[]", "INTEGER[]"),
    ],
)  # fmt: skip
def test_one_type_in_other_words_is_no_difference(stated: str | None, now: str) -> None:
    table = replace(TABLE, columns=(*TABLE.columns[:3], Column("note", "NOTE", stated)))
    assert compare(table, live(NOTE=typed("NOTE", now))) == ()


@pytest.mark.parametrize(
    ("key", "unique"),
    [((), ()), (("ID",), ()), (("NOTE",), (("ID",),)), (("NOTE", "PRICE"), (("ID",),))],
)
def test_a_key_that_the_database_proves_otherwise_is_no_difference(
    key: tuple[str, ...], unique: tuple[tuple[str, ...], ...]
) -> None:
    assert compare(TABLE, replace(LIVE, key=key, unique=unique)) == ()


def test_a_contract_key_wider_than_the_databases_is_no_difference() -> None:
    assert compare(replace(TABLE, key=("id", "note")), LIVE) == ()


def test_all_differences_are_in_the_message_of_freeze() -> None:
    found = live(NOTE=None, PRICE=typed("PRICE", "text"), LEVEL=typed("LEVEL", "int"))
    with pytest.raises(SchemaDrift) as caught:
        settle_drift(replace(TABLE, drift=Drift.FREEZE), found)
    lines = str(caught.value).splitlines()
    assert sum("column added" in line or "column removed" in line or "type changed" in line for line in lines) == 3
    assert "contract of erp, table orders" in str(caught.value)
