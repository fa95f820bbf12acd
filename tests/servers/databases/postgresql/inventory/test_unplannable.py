"""Tables on which every query fails under an empty search path: backed up, counted, restored."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.inventory import Inventory, differences
from covetbackup.core.databases.postgresql.backup import parallel
from covetbackup.core.databases.postgresql.inventory import (
    build,
    counts as counting,
    dumpable_objects,
)
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.errors import DatabaseError
from tests.support.postgres import PostgresServer
from tests.support.postgres_backup import Notes, engine_for, put_back, take

_PLACES = (
    "CREATE EXTENSION earthdistance CASCADE",
    "CREATE TABLE place (lat float8, lon float8, name text)",
    "INSERT INTO place SELECT g % 90, g % 180, E'a\\nb' FROM generate_series(1, 1000) g",
)
_INDEXES = (
    "CREATE INDEX ON place USING gist (ll_to_earth(lat, lon))",
    "CREATE TABLE near (lat float8, lon float8)",
    "INSERT INTO near SELECT 1, 2 FROM generate_series(1, 30)",
    "CREATE INDEX ON near (lat) WHERE earth_distance(ll_to_earth(lat, lon), ll_to_earth(0, 0)) > 9",
)
_STATISTICS = "CREATE STATISTICS where_it_is ON (ll_to_earth(lat, lon)), lat FROM place"


def test_tables_whose_indexes_need_a_search_path_are_backed_up_with_exact_counts(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    postgres_server.execute(postgres_database, *_PLACES, *_INDEXES)
    taken = take(engine_for(postgres_server, postgres_database))
    assert taken.rows == {"public.near": 30, "public.place": 1000}
    said = "\n".join(taken.outcome.warnings)
    assert 'table public.place works only with a search path: type "earth" does' in said
    assert "table public.near works only with a search path" in said
    logical = take(engine_for(postgres_server, postgres_database), method="logical")
    assert logical.rows == {}


def test_big_tables_that_cannot_be_planned_are_read_in_one_piece_by_psql(
    postgres_server: PostgresServer, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "PSQL_MIN_BYTES", 1)
    postgres_server.execute(postgres_database, *_PLACES, *_INDEXES)
    taken = take(engine_for(postgres_server, postgres_database))
    assert taken.rows == {"public.near": 30, "public.place": 1000}


def test_a_count_that_fails_ends_no_restore_and_copys_own_count_serves(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    postgres_server.execute(postgres_database, *_PLACES, *_INDEXES, _STATISTICS)
    engine = engine_for(postgres_server, postgres_database)
    taken = take(engine)
    notes = Notes()
    target = f"{postgres_database}_copy"
    found = put_back(engine, taken, postgres_server.url(target), progress=notes)
    assert differences(taken.inventory, found) == []
    assert [table.rows for table in found.tables if table.exact] == [30, 1000]
    assert any('"public"."place" has no statistics yet' in line for line in notes.lines)


def test_a_failing_count_leaves_the_snapshot_and_names_its_error(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    postgres_server.execute(postgres_database, *_PLACES, _STATISTICS)
    with postgres_server.connect(postgres_database) as connection:
        connection.execute("SET search_path = ''")
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        told: list[str] = []
        tables = [table for table in dumpable_objects.tables(connection) if table.kind == "r"]
        counts = counting.count_rows(
            connection, tables, stop=lambda: False, failed=lambda table, why: told.append(why)
        )
        assert counts == {} and told == ['type "earth" does not exist']
        assert connection.execute("SELECT pg_export_snapshot()").fetchone()


def test_the_error_that_ended_the_snapshot_is_shown_and_not_what_came_of_it(
    postgres_server: PostgresServer, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: Connection, *_: object, **__: object) -> Inventory:
        connection.execute("SELECT 1 / 0")
        raise AssertionError

    postgres_server.execute(postgres_database, *_PLACES)
    monkeypatch.setattr(build, "read_inventory", fail)
    with pytest.raises(DatabaseError, match="division by zero"):
        take(engine_for(postgres_server, postgres_database))
