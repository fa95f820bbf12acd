"""What `pg_dump --create` says of a database, and what a role cannot read: back, or named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from covetbackup.core.databases.base import restore_notes
from covetbackup.core.databases.restore import RestoreRequest
from tests.support.postgres import PostgresRole, PostgresServer
from tests.support.postgres_backup import Notes, Taken, engine_for, fill, put_back, take

_SPACE = "covet_space"


@pytest.fixture
def space(postgres_tidy: PostgresServer) -> Iterator[str]:
    """A tablespace, which is gone after the databases in it."""
    with postgres_tidy.connect() as connection:
        connection.execute("SET allow_in_place_tablespaces = on")
        connection.execute(f"CREATE TABLESPACE {_SPACE} LOCATION ''")
    yield _SPACE
    for name in {"placed", "placed_copy"} & set(postgres_tidy.databases()):
        postgres_tidy.execute("postgres", f"ALTER DATABASE {name} IS_TEMPLATE false")
        postgres_tidy.execute("postgres", f"DROP DATABASE {name}")
    postgres_tidy.execute("postgres", f"DROP TABLESPACE {_SPACE}")


def restored(server: PostgresServer, taken: Taken, target: str) -> list[str]:
    """The notes of a restore to database `target`."""
    options = RestoreRequest(target)
    with engine_for(server).restore(options, taken.inventory, Notes()) as session:
        fill(session, taken.members)
        session.commit()
        return list(restore_notes(session))


def with_settings(taken: Taken, **settings: str) -> Taken:
    inventory = replace(taken.inventory, settings={**(taken.inventory.settings or {}), **settings})
    return replace(taken, outcome=replace(taken.outcome, inventory=inventory))


def created(server: PostgresServer, database: str) -> list[str]:
    """What pg_dump says of the database itself, under one name."""
    dump = server.tool("pg_dump", "--create", "--schema-only", f"--dbname={database}")
    lines = [line for line in dump.replace(database, "d").splitlines() if "DATABASE" in line]
    return [line for line in lines if not line.startswith("--")]


def test_all_that_pg_dump_says_of_a_database_comes_back(
    space: str, postgres_server: PostgresServer, postgres_role: Callable[..., PostgresRole]
) -> None:
    owner, guest = postgres_role(name="shopkeeper"), postgres_role(name="visitor")
    options = f"TEMPLATE template0 TABLESPACE {space} LOCALE_PROVIDER icu ICU_LOCALE 'de-AT'"
    postgres_server.create_database("placed", f"{options} LOCALE 'C.UTF-8' ENCODING 'UTF8'")
    postgres_server.execute(
        "placed",
        "CREATE TABLE t AS SELECT 1 AS i",
        f"ALTER DATABASE placed OWNER TO {owner.name}",
        f"REVOKE ALL ON DATABASE placed FROM PUBLIC, {owner.name}",
        f"GRANT CONNECT ON DATABASE placed TO {owner.name}",
        f"GRANT TEMPORARY ON DATABASE placed TO {guest.name} WITH GRANT OPTION",
        "COMMENT ON DATABASE placed IS 'shop'",
        "ALTER DATABASE placed CONNECTION LIMIT 7",
        "ALTER DATABASE placed IS_TEMPLATE true",
        'ALTER DATABASE placed SET search_path TO "a, b", public',
        f"ALTER ROLE {guest.name} IN DATABASE placed SET work_mem TO '8MB'",
    )
    taken = take(engine_for(postgres_server, "placed"))
    assert restored(postgres_server, taken, "placed_copy") == []
    assert created(postgres_server, "placed_copy") == created(postgres_server, "placed")
    query = "SELECT spcname, datcollversion FROM pg_database d JOIN pg_tablespace s"
    rows = [
        postgres_server.rows(name, f"{query} ON s.oid = dattablespace WHERE datname = '{name}'")
        for name in ("placed", "placed_copy")
    ]
    assert rows[0] == rows[1] and rows[0][0][0] == space


def test_what_the_server_does_not_have_of_a_database_is_left_out_and_named(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    postgres_server.execute(
        postgres_database,
        "CREATE TABLE t AS SELECT 1 AS i",
        "SET allow_system_table_mods = on",
        "INSERT INTO pg_shseclabel SELECT oid, 'pg_database'::regclass, 'mac', 'secret'"
        f" FROM pg_database WHERE datname = '{postgres_database}'",
    )
    taken = take(engine_for(postgres_server, postgres_database))
    recorded = [["", "no_such_setting", "1"], ["", "work_mem", "8MB"]]
    taken = with_settings(taken, configuration=json.dumps(recorded), tablespace="no_such_space")
    try:
        space, setting, label = restored(postgres_server, taken, f"{postgres_database}_copy")
    finally:
        postgres_server.execute("postgres", "DELETE FROM pg_shseclabel")
    assert space.startswith("tablespace no_such_space, in which the database was, is missing here")
    assert 'unrecognized configuration parameter "no_such_setting"' in setting
    assert 'SECURITY LABEL FOR "mac" ON DATABASE' in label and "not loaded" in label
    row = postgres_server.rows(f"{postgres_database}_copy", "SHOW work_mem")
    assert row == [("8MB",)]


_FOREIGN: tuple[Any, ...] = (
    "CREATE EXTENSION postgres_fdw",
    "CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw",
    "CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'u', password 'hush')",
    "CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (user 'v')",
    "CREATE SUBSCRIPTION follow CONNECTION 'dbname=x' PUBLICATION p"
    " WITH (connect = false, slot_name = NONE)",
)


def test_what_the_backup_role_cannot_read_is_named_by_backup_and_restore(
    postgres_server: PostgresServer,
    postgres_database: str,
    postgres_role: Callable[..., PostgresRole],
) -> None:
    reader = postgres_role()
    postgres_server.execute(postgres_database, *_FOREIGN)
    try:
        limited = take(engine_for(postgres_server, postgres_database, reader))
        whole = take(engine_for(postgres_server, postgres_database))
    finally:
        postgres_server.execute(postgres_database, "DROP SUBSCRIPTION follow")
    said = [line for line in limited.outcome.warnings if line.endswith("back up as a superuser")]
    assert [line.split(" is ")[0] for line in said] == [
        "the user mapping of PUBLIC on server far",
        "the user mapping of postgres on server far",
        "subscription follow",
    ]
    assert "ALTER USER MAPPING FOR PUBLIC SERVER far OPTIONS (ADD" in said[0]
    assert not any("mapping" in line for line in whole.outcome.warnings)
    notes = restored(postgres_server, limited, f"{postgres_database}_copy")
    assert len(notes) == 3 and all(note in "\n".join(said) for note in notes)
    query = "SELECT umoptions FROM pg_user_mappings WHERE usename = 'postgres'"
    put_back(engine_for(postgres_server), whole, postgres_server.url(f"{postgres_database}_whole"))
    postgres_server.execute(
        f"{postgres_database}_whole",
        "DROP SUBSCRIPTION follow",
    )
    assert postgres_server.rows(f"{postgres_database}_whole", query) == [
        (["password=hush", "user=u"],)
    ]
