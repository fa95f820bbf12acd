"""What extensions have in tables of their own is there before whatever may look at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.postgresql.backup import plan
from tests.support.postgres import PostgresServer, postgres_binaries
from tests.support.postgres_backup import contents, engine_for, put_back, schema_of, take
from tests.support.postgres_extensions import CODES, server_with_extension

# Two rows of the configuration: one that values need, and one that speaks of a table.
CODED = f"""
CREATE SCHEMA zone; CREATE EXTENSION {CODES} SCHEMA zone;
INSERT INTO zone.code_list VALUES ('a', NULL);
CREATE SCHEMA early; CREATE TABLE early.coded (code zone.code);
INSERT INTO early.coded SELECT 'a' FROM generate_series(1, 3000);
"""
ABOUT_TABLES = "INSERT INTO zone.code_list VALUES ('b', 'early.coded')"
# The reference system is looked up when the table is created, and for each row.
PLACED = """
CREATE EXTENSION postgis;
INSERT INTO spatial_ref_sys SELECT 990001, 'ours', 990001, srtext, proj4text
  FROM spatial_ref_sys WHERE srid = 4326;
CREATE TABLE placed (id int, at geography(Point, 990001));
INSERT INTO placed VALUES (1, 'SRID=990001;POINT(1 2)');
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    installed = postgres_binaries()
    if not installed:
        pytest.skip("no PostgreSQL server is installed")
    try:
        with server_with_extension(installed[-1]) as server:
            yield server
    except FileNotFoundError:
        pytest.skip("the server is not laid out as Debian's")


def comes_back(server: PostgresServer, database: str, method: str = "parallel") -> None:
    engine, copy = engine_for(server, database), f"{database}_copy"
    taken = take(engine, method=method)
    restored = put_back(engine, taken, server.url(copy), jobs=2)
    assert differences(taken.inventory, restored) == []
    assert contents(server, copy) == contents(server, database)
    assert schema_of(server, copy) == schema_of(server, database)


@pytest.mark.parametrize(
    ("size", "method"), [(1, "parallel"), (300_000, "parallel"), (300_000, "logical")]
)
def test_rows_that_an_extension_checks_come_after_its_own(
    server: PostgresServer, size: int, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SMALLEST_PART_BYTES", "LARGEST_PART_BYTES"):
        monkeypatch.setattr(plan, name, size)
    database = server.create_database(f"coded_{size}_{method}")
    server.execute(database, CODED)
    comes_back(server, database, method)


@pytest.mark.parametrize("method", ["parallel", "logical"])
def test_its_rows_may_speak_of_tables_that_are_made_later(
    server: PostgresServer, method: str
) -> None:
    database = server.create_database(f"about_tables_{method}")
    server.execute(database, CODED, "TRUNCATE early.coded", ABOUT_TABLES)
    comes_back(server, database, method)


def test_a_type_may_be_looked_up_in_its_rows_when_a_table_is_created(
    server: PostgresServer,
) -> None:
    available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgis'"
    if server.rows("postgres", available) == [(0,)]:
        pytest.skip("PostGIS is not installed")
    database = server.create_database("placed")
    server.execute(database, PLACED)
    comes_back(server, database)
