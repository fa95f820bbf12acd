"""Selections with extensions, sequences that no column owns, and large objects."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from covetbackup.core.databases.selection import Selection
from covetbackup.core.manager import RestoreManager
from covetbackup.core.operations.restore import RestoreResult
from tests.support.doubles import make_keys, make_repository
from tests.support.postgres import PostgresServer, drop_databases, postgres_binaries
from tests.support.postgres_extensions import server_with_extension
from tests.support.postgres_selection import SOURCE, TARGET, Place, back_up, restore_part

_SOURCE = (
    "CREATE EXTENSION atlas; CREATE EXTENSION btree_gist",
    "INSERT INTO kinds (name) VALUES ('bridge'), ('well'); SELECT nextval('tickets')",
    "CREATE TABLE spot (id int PRIMARY KEY, kind kind); INSERT INTO spot VALUES (1, 2), (2, 3)",
    "CREATE TYPE mood AS ENUM ('good'); CREATE SEQUENCE counter START 7",
    "CREATE VIEW named AS SELECT id, kind_name(kind), 'good'::mood AS mood FROM spot",
    "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'",
    "CREATE TABLE booking (room int, during tstzrange, EXCLUDE USING gist (room WITH =,"
    " during WITH &&)); CREATE TABLE pairs (one int, EXCLUDE (twice(one) WITH =))",
    "CREATE SCHEMA desk; CREATE SEQUENCE desk.ticket START 500; SELECT nextval('desk.ticket')",
    "CREATE SEQUENCE desk.named; CREATE SEQUENCE plain; CREATE TABLE desk.texts (one int"
    " DEFAULT nextval('desk.named'::text), two int DEFAULT nextval('plain'::text))",
    "CREATE SEQUENCE desk.unused; CREATE TABLE desk.file (id serial, scan oid)",
    "INSERT INTO desk.file (scan) VALUES (lo_from_bytea(0, 'x'))",
)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    installed = postgres_binaries()
    if not installed or not installed[-1].is_relative_to("/usr/lib/postgresql"):
        pytest.skip("no PostgreSQL server of Debian is installed")
    with server_with_extension(installed[-1]) as server:
        yield server


@pytest.fixture(scope="module")
def place(server: PostgresServer) -> Place:
    server.create_database(SOURCE)
    server.execute(SOURCE, *_SOURCE)
    _, keyring = make_keys()
    place = make_repository(), keyring
    back_up(server, place, "parts")
    return place


@pytest.fixture(autouse=True)
def tidy(server: PostgresServer, place: Place) -> Iterator[None]:
    yield
    drop_databases(server, {TARGET})


def restore(
    server: PostgresServer, place: Place, *tables: str, schemas: tuple[str, ...] = ()
) -> RestoreResult:
    return restore_part(server, place, Selection(tables, schemas))


KINDS = "SELECT id, name FROM kinds ORDER BY id"
ALL_KINDS = [(1, "built in"), (2, "bridge"), (3, "well")]


def test_a_table_comes_with_the_configuration_of_the_extension_it_needs(
    server: PostgresServer, place: Place
) -> None:
    restored = restore(server, place, "public.spot")
    assert server.rows(TARGET, KINDS) == ALL_KINDS
    assert {(one.label, one.rows) for one in restored.inventory.tables} == {
        ("public.spot", 2),
        ("public.kinds", 2),
    }
    assert server.rows(TARGET, "SELECT nextval('kinds_id_seq'), nextval('tickets')") == [(4, 2)]


def test_sequences_of_an_extension_go_on_where_they_were(
    server: PostgresServer, place: Place
) -> None:
    restore_part(server, place, None)
    assert server.rows(TARGET, "SELECT nextval('kinds_id_seq')") == [(4,)]


def test_what_only_the_index_of_a_constraint_needs_is_found(
    server: PostgresServer, place: Place
) -> None:
    restored = restore(server, place, "public.booking", "public.pairs")
    assert restored.inventory.extensions == ("btree_gist", "plpgsql")
    query = "SELECT count(*) FROM pg_constraint WHERE contype = 'x'"
    assert server.rows(TARGET, query) == [(2,)]


def test_sequences_that_a_default_names_as_a_text_come_with_the_table(
    server: PostgresServer, place: Place
) -> None:
    restore(server, place, "desk.texts")
    server.execute(TARGET, "SET search_path = desk, public; INSERT INTO texts DEFAULT VALUES")
    assert server.rows(TARGET, "SELECT one, two FROM desk.texts") == [(1, 1)]


def test_a_schema_comes_with_its_sequences_and_says_that_large_objects_stay_out(
    server: PostgresServer, place: Place
) -> None:
    restored = restore(server, place, schemas=("desk",))
    assert server.rows(TARGET, "SELECT nextval('desk.ticket'), to_regclass('desk.unused')") == [
        (501, "desk.unused")
    ]
    (said,) = restored.problems
    assert "large objects" in said and "desk.file (scan)" in said


def test_what_stays_out_is_said_in_the_contents_and_in_the_result(
    server: PostgresServer, place: Place
) -> None:
    (label,) = place[0].labels("parts")
    contents = RestoreManager(*place).contents(str(label))
    resolved = contents.resolve(Selection(("desk.file",)))
    sequences, objects = resolved.left_out
    assert "desk.named, desk.ticket, desk.unused" in sequences and "large objects" in objects
    assert set(resolved.left_out) <= set(resolved.notes)
    assert restore(server, place, "desk.file").problems == resolved.left_out
    rows = contents.resolve(Selection(("desk.file",), with_structure=False))
    assert rows.left_out == (objects,)
    assert contents.resolve(Selection(("desk.file",), with_data=False)).left_out == ()


def test_an_extension_stays_where_it_is_when_its_schema_gets_another_name(
    server: PostgresServer, place: Place
) -> None:
    renamed = Selection(("public.named",), ("public",), schemas_as=(("public", "old"),))
    restore_part(server, place, renamed)
    assert server.rows(TARGET, "SELECT kind_name, mood FROM old.named ORDER BY id") == [
        ("bridge", "good"),
        ("well", "good"),
    ]
    query = "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname IN {}"
    assert server.rows(TARGET, query.format("('kinds', 'tickets')")) == [("public",)] * 2
    moved = "('spot', 'named', 'counter', 'spot_pkey')"
    assert server.rows(TARGET, query.format(moved)) == [("old",)] * 4
    assert (
        server.rows(
            TARGET,
            "SELECT typnamespace::regnamespace::text FROM pg_type"
            " WHERE typname IN ('mood', '_mood')",
        )
        == [("old",)] * 2
    )


def test_configuration_can_be_chosen_by_its_name(server: PostgresServer, place: Place) -> None:
    restore(server, place, "public.kinds")
    assert server.rows(TARGET, KINDS) == ALL_KINDS
    server.execute(TARGET, "DELETE FROM kinds WHERE id = 3; UPDATE kinds SET id = 9 WHERE id = 2")
    restore_part(server, place, Selection(("public.kinds",), with_structure=False))
    assert server.rows(TARGET, KINDS) == [*ALL_KINDS, (9, "bridge")]


def test_an_extension_that_is_there_keeps_its_configuration(
    server: PostgresServer, place: Place
) -> None:
    server.create_database(TARGET)
    restored = restore_part(server, place, Selection(("public.spot",)), adds=True)
    assert server.rows(TARGET, KINDS) == ALL_KINDS
    assert server.rows(TARGET, "SELECT nextval('kinds_id_seq')") == [(4,)]
    server.execute(TARGET, "DROP TABLE spot; UPDATE kinds SET name = 'mine' WHERE id = 2")
    restored = restore_part(server, place, Selection(("public.spot",)), adds=True)
    assert server.rows(TARGET, "SELECT name FROM kinds WHERE id = 2") == [("mine",)]
    assert any("left as it is there: public.kinds" in line for line in restored.problems)
