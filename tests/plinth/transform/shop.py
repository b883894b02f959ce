"""A dbt project of a few models over two bronze tables, and a lakehouse for one test.

The macros, the profile and the generic tests are the real ones; only the models are small.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from plinth.engine import connect
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.schema import DeltaColumn, columns_of
from plinth.lakehouse.staging import stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.platform import Platform, Zone
from plinth.profile import Profile
from plinth.transform.model import table_id

REAL = Path(__file__).resolve().parents[3] / "dbt_project"

MODELS = {
    "silver/orders.sql": """
        {{ config(strategy='scope', scope=['client'], key=['id']) }}
        {% call touched() %}select client from {{ changed(source('bronze', 'orders')) }}{% endcall %}
        select id, client, amount, sum(amount) over (partition by client order by id) as running
        from {{ scoped(source('bronze', 'orders')) }}""",
    "silver/people.sql": "select client, substr(email, 1, 1) as initial from {{ source('bronze', 'people') }}",
    "silver/leak.sql": "select client, lower(email) as handle from {{ source('bronze', 'people') }}",
    "silver/secret.sql": "select client, email from {{ source('bronze', 'people') }}",
    "silver/broken.sql": "select client, cast(email as integer) as initial from {{ source('bronze', 'people') }}",
    "silver/undescribed.sql": "select client, initial from {{ ref('people') }}",
    "gold/totals.sql": """
        {{ config(strategy='scope', scope=['client'], key=['client']) }}
        {% call touched() %}select client from {{ changed(ref('orders')) }}{% endcall %}
        select client, cast(sum(amount) as decimal(18, 2)) as total, max(running) as highest
        from {{ scoped(ref('orders')) }} group by client""",
    "gold/summary.sql": "select count(*) as clients from {{ ref('totals') }}",
    "gold/named.sql": """
        select t.client, p.initial, t.total from {{ ref('totals') }} as t left join {{ ref('people') }} as p on t.client = p.client""",
}
YAML = """
sources:
  - {name: bronze, schema: bronze, tables: [{name: orders}, {name: people}]}
models:
  - name: orders
    description: Orders.
    data_tests:
      - above_zero: {name: orders_above_zero, arguments: {columns: [amount]}}
    columns:
      - {name: id, description: Number., data_type: long, data_tests: [number_unique: {name: orders_id_unique}]}
      - {name: client, description: Client., data_type: long, data_tests: [unique: {name: orders_client_unique, config: {severity: warn}}]}
      - {name: amount, description: Amount., data_type: "decimal(10,2)"}
      - {name: running, description: Amount so far., data_type: "decimal(38,2)"}
  - name: people
    columns:
      - {name: client, description: Client.}
      - {name: initial, description: Initial., config: {meta: {pseudonymised: only the first letter}}}
  - {name: leak, columns: [{name: client}, {name: handle}]}
  - {name: secret, columns: [{name: client}, {name: email, config: {meta: {classification: confidential}}}]}
  - {name: undescribed, columns: [{name: client}]}
  - {name: broken, columns: [{name: client}, {name: initial, config: {meta: {pseudonymised: for the test}}}]}
  - name: totals
    columns: [{name: client}, {name: total}, {name: highest}]
    data_tests:
      - unique_together: {name: totals_unique, arguments: {columns: [client]}}
  - {name: summary, columns: [{name: clients}]}
  - {name: named, columns: [{name: client}, {name: initial}, {name: total}]}
"""

GOOD = ("orders", "people", "totals", "summary", "named")
"""The models that can be built."""

ORDERS = "SELECT i AS id, i % 7 AS client, (1 + i % 11)::DECIMAL(10, 2) AS amount FROM range(200) t(i)"
PEOPLE = "SELECT i AS client, 'client' || i || '@example.com' AS email FROM range(7) t(i)"


def write_project(folder: Path) -> Path:
    """The project in a folder, with the real macros, profile and generic tests."""
    for name in ("macros", "tests"):
        shutil.copytree(REAL / name, folder / name)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(REAL / name, folder / name)
    for name, sql in MODELS.items():
        path = folder / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sql)
    (folder / "models" / "models.yml").write_text(YAML)
    return folder


def shared_project(base: Path) -> Path:
    """The project of a whole test session, written and so parsed once."""
    folder = base / "shop_project" / "dbt_project"
    return folder if folder.exists() else write_project(folder)


class Shop:
    """A lakehouse with the tables `bronze/orders` and `bronze/people`, and the project that reads them."""

    def __init__(self, home: Path, project: Path) -> None:
        zones = {
            "on_prem": Zone(root="on_prem", clearance=("public", "internal", "confidential", "restricted")),
            "cloud": Zone(root="cloud", clearance=("public", "internal")),
        }
        layers = {"bronze": "on_prem", "silver": "cloud", "gold": "cloud", "ops": "on_prem"}
        profiles = {"small": Profile(cpu=1, memory=512 * 2**20, threads=1)}
        self.project = project
        self.lakehouse = Lakehouse(
            Platform(zones=zones, layers=layers, profiles=profiles, default_profile="small", home=home)  # type: ignore[arg-type]
        )
        self.con: duckdb.DuckDBPyConnection = connect(
            self.lakehouse.platform.profile(), extensions=("delta",), scratch=home / "scratch"
        )

    def put(self, table: str, sql: str, classified: dict[str, str] | None = None) -> TableVersion:
        """Makes a table of what a query yields, or replaces all of its rows."""
        name = table_id(table)
        columns = tuple(
            DeltaColumn(column.name, column.type, (classified or {}).get(column.name, "internal"))
            for column in columns_of(self.con, sql)
        )
        base = self.lakehouse.find(name)
        staged = stage(self.con, sql, self.lakehouse.uri_of(name), columns)
        state = (base.state if base is not None else State()).next(changed=True)
        return commit(self.lakehouse, name, Write(base, columns, state, staged, base.files if base else ()))

    def open_shop(self, orders: str = ORDERS, people: str = PEOPLE) -> None:
        """Makes both bronze tables."""
        self.put("bronze/orders", orders)
        self.put("bronze/people", people, {"email": "confidential"})

    def rows(self, table: str) -> list[tuple[object, ...]]:
        """All rows of a table, sorted."""
        return sorted(self.con.execute(f"FROM {self.lakehouse.open(table_id(table)).scan}").fetchall(), key=str)

    def versions(self) -> dict[str, int]:
        """The Delta version of every table of silver and gold."""
        return {
            str(table): self.lakehouse.open(table).version
            for layer in ("silver", "gold")
            for table in self.lakehouse.tables(layer)  # type: ignore[arg-type]
        }

    def files(self, table: str) -> set[str]:
        """The Parquet files in a table's folder, committed or not."""
        return {path.name for path in Path(self.lakehouse.uri_of(TableId(*table.split("/")))).rglob("*.parquet")}  # type: ignore[arg-type]
