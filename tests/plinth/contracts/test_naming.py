"""Names of the lakehouse for names of any legacy system."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plinth.contracts.naming import NAME, RESERVED, lakehouse_names, snake


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Order Date", "order_date"), ("orderDate", "order_date"), ("HTTPServerID", "http_server_id"), ("CUSTNO", "custno"),
        ("Straße", "strasse"), ("Année d'été", "annee_d_ete"), ("  __x__ ", "x"), ("Ærø-№1", "aero_no1"), ("名前", ""), ("İd", "id"),
    ],
)  # fmt: skip
def test_snake_case_of_awkward_names(text: str, name: str) -> None:
    assert snake(text) == name


def test_names_that_clash_get_numbers_and_reserved_words_an_underscore() -> None:
    physical = ["Order", "order", "ORDER ", "2020 Total", "名前", "order_2", "select"]
    assert lakehouse_names(physical, "column") == (
        "order_",
        "order_2",
        "order_3",
        "column_2020_total",
        "column_5",
        "order_2_2",
        "select_",
    )


def test_taken_names_are_avoided() -> None:
    assert lakehouse_names(["Id", "Code"], "column", taken=["id"]) == ("id_2", "code")


@given(st.lists(st.text(max_size=12), max_size=12))
def test_any_names_become_valid_and_unique_names_in_order(physical: list[str]) -> None:
    names = lakehouse_names(physical, "column")
    assert len(names) == len(physical) == len(set(names))
    assert all(NAME.fullmatch(name) and name not in RESERVED for name in names)
    assert names == lakehouse_names(physical, "column")


def test_every_word_that_duckdb_reserves_is_avoided() -> None:
    with duckdb.connect() as con:
        rows = con.execute("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'").fetchall()
    assert {word for (word,) in rows} - RESERVED == set()
