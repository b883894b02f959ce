"""The table that the loading benchmarks read: order lines of 15 columns (three decimals, texts, time stamps), in three databases."""

from __future__ import annotations

import csv
import sqlite3
import sys
from pathlib import Path

TABLE = "order_lines"
COLUMNS = (
    "line_id BIGINT PRIMARY KEY",
    "order_id BIGINT NOT NULL",
    "customer_id INTEGER NOT NULL",
    "item_code VARCHAR(20) NOT NULL",
    "description VARCHAR(80) NOT NULL",
    "quantity INTEGER NOT NULL",
    "unit_price DECIMAL(12,4) NOT NULL",
    "discount DECIMAL(8,2)",
    "tax DECIMAL(12,2) NOT NULL",
    "status CHAR(1) NOT NULL",
    "country VARCHAR(24) NOT NULL",
    "ordered_at TIMESTAMP NOT NULL",
    "shipped_at TIMESTAMP",
    "comment_text VARCHAR(120)",
    "updated_at TIMESTAMP NOT NULL",
)
NAMES = tuple(column.split()[0] for column in COLUMNS)

_POSTGRES_ROWS = """
SELECT i, i / 7, (i * 7919) % 200000, lpad(((i * 104729) % 50000)::text, 5, '0') || chr((65 + i % 3)::int),
    'GIFT ARTICLE ' || md5(((i * 104729) % 50000)::text), (1 + i % 24)::int, ((i * 31) % 100000) / 1000.0,
    CASE WHEN i % 10 = 0 THEN (i % 500) / 100.0 END, ((i * 17) % 90000) / 100.0, substr('NSCR', (1 + i % 4)::int, 1),
    (ARRAY['United Kingdom', 'Germany', 'France', 'EIRE'])[1 + i % 4],
    timestamp '2020-01-01' + (i * 9) * interval '1 second',
    CASE WHEN i % 20 <> 0 THEN timestamp '2020-01-03' + (i * 9) * interval '1 second' END,
    CASE WHEN i % 6 = 0 THEN 'left at the door of number ' || i % 300 END,
    timestamp '2020-01-01' + (i * 9) * interval '1 second'
FROM generate_series({first}::bigint, {last}::bigint) AS g(i)
"""


def fill_postgres(url: str, rows: int) -> None:
    """Creates and fills the table in PostgreSQL, by the server itself."""
    import psycopg

    print(f"writing {rows:,} order lines to PostgreSQL …", file=sys.stderr)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {TABLE} ({', '.join(COLUMNS)})")
        connection.execute(f"INSERT INTO {TABLE} {_POSTGRES_ROWS.format(first=1, last=rows)}")
        connection.execute(f"CREATE INDEX ON {TABLE} (updated_at)")
        connection.execute(f"VACUUM ANALYZE {TABLE}")


def change_postgres(url: str, rows: int, *, scattered: bool, after: str) -> None:
    """Updates 1 % of the rows, the newest or every hundredth, with update time stamps later than `after`."""
    import psycopg

    chosen = "line_id % 100 = 7" if scattered else f"line_id > {rows - rows // 100}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"UPDATE {TABLE} SET quantity = quantity + 1, updated_at = timestamp '{after}' + line_id * interval '1 microsecond' "
            f"WHERE {chosen}"
        )
        connection.execute(f"VACUUM ANALYZE {TABLE}")


def copy_to_csv(url: str, target: Path) -> None:
    """The PostgreSQL table as CSV, to fill the other databases with the same rows."""
    import psycopg

    command = f"COPY {TABLE} TO STDOUT (FORMAT csv, NULL '\\N')"
    with psycopg.connect(url) as connection, connection.cursor().copy(command) as copy, target.open("wb") as file:
        for block in copy:
            file.write(block)


def fill_mariadb(url: str, source: Path) -> None:
    """Creates the table in MariaDB from the CSV file."""
    import pymysql
    from sqlalchemy.engine import make_url

    print("writing the order lines to MariaDB …", file=sys.stderr)
    parts = make_url(url)
    columns = ", ".join(COLUMNS).replace("TIMESTAMP", "DATETIME(6)")
    connection = pymysql.connect(
        host=parts.host,
        port=parts.port or 3306,
        user=parts.username,
        password=parts.password or "",
        database=parts.database,
        local_infile=True,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {TABLE} ({columns})")
        cursor.execute(
            f"LOAD DATA LOCAL INFILE %s INTO TABLE {TABLE} CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"'",
            (str(source),),
        )
        connection.commit()


def fill_sqlite(path: Path, source: Path) -> None:
    """Creates the table in SQLite from the CSV file."""
    print("writing the order lines to SQLite …", file=sys.stderr)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = off")
    connection.execute(f"CREATE TABLE {TABLE} ({', '.join(COLUMNS)})")
    places = ", ".join("?" * len(COLUMNS))
    with source.open(newline="", encoding="utf-8") as file:
        rows = ([None if value == "\\N" else value for value in row] for row in csv.reader(file))
        connection.executemany(f"INSERT INTO {TABLE} VALUES ({places})", rows)
    connection.commit()
    connection.close()
