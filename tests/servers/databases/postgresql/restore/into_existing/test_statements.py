"""Into a database that is there: what it would refuse at first, and what has to come first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import SinkFailed
from covetbackup.core.progress import Silent
from tests.support.postgres import PostgresServer, postgres_binaries
from tests.support.postgres_backup import engine_for, fill, take
from tests.support.postgres_extensions import CODES, server_with_extension
from tests.support.restore_requests import request_for

SOURCE = f"""
CREATE SCHEMA zone; CREATE EXTENSION {CODES} SCHEMA zone;
INSERT INTO zone.code_list VALUES ('a', NULL);
CREATE SCHEMA early; CREATE TABLE early.coded (code zone.code);
INSERT INTO early.coded VALUES ('a');
CREATE SCHEMA tools; CREATE EXTENSION ltree SCHEMA tools;
CREATE TABLE early.node (path tools.ltree); INSERT INTO early.node VALUES ('a.b');
CREATE FUNCTION early.act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
SET search_path = public, tools;
CREATE TRIGGER moved BEFORE UPDATE ON early.node FOR EACH ROW
  WHEN (OLD.path IS DISTINCT FROM NEW.path) EXECUTE FUNCTION early.act();
COMMENT ON TRIGGER moved ON early.node IS 'of the trigger';
CREATE FUNCTION early.here(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN IF current_setting(''application_name'') LIKE ''covetbackup%'' THEN
   RAISE ''not for you''; END IF; RETURN true; END';
CREATE TABLE early.old (id int, CONSTRAINT is_here CHECK (early.here(id)));
INSERT INTO early.old VALUES (1);
CREATE TABLE early.plain (id int); INSERT INTO early.plain VALUES (1);
CREATE INDEX choosy ON early.plain ((early.here(id)));
"""
TABLES = ("early.coded", "early.node", "early.old")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    installed = postgres_binaries()
    if not installed or not installed[-1].is_relative_to("/usr/lib/postgresql"):
        pytest.skip("no PostgreSQL server of Debian is installed")
    with server_with_extension(installed[-1]) as server:
        yield server


def add(server: PostgresServer, *tables: str, **extra: object) -> list[str]:
    """Add tables of the database `source` to `target`; the notes."""
    server.create_database("source")
    server.execute("source", "ALTER DATABASE source SET search_path = public, tools", SOURCE)
    server.create_database("target")
    taken = take(engine_for(server, "source"))
    options = request_for("target", selection=Selection(tables), into_existing=True, **extra)
    with engine_for(server).restore(options, taken.inventory, Silent()) as session:
        fill(session, taken.members)
        session.inventory()
        session.commit()
        return list(session.notes)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def tidy(server: PostgresServer) -> Iterator[None]:
    yield
    server.execute("postgres", "DROP DATABASE IF EXISTS source", "DROP DATABASE IF EXISTS target")


def test_tables_are_added_with_what_is_refused_at_first(server: PostgresServer) -> None:
    [note] = add(server, *TABLES)
    assert note.startswith("check constraint is_here of table early.old does not hold for all")
    for table in TABLES:
        assert server.rows("target", f"SELECT count(*) FROM {table}") == [(1,)]
    trigger = "SELECT obj_description(oid) FROM pg_trigger WHERE tgname = 'moved'"
    assert server.rows("target", trigger) == [("of the trigger",)]
    valid = "SELECT convalidated FROM pg_constraint WHERE conname = 'is_here'"
    assert server.rows("target", valid) == [(False,)]


def test_what_is_refused_still_is_left_out_if_that_is_chosen(server: PostgresServer) -> None:
    with pytest.raises(SinkFailed, match=r"index early\.choosy failed: .*not for you"):
        add(server, "early.plain")
    assert server.rows("target", "SELECT count(*) FROM pg_class WHERE relname = 'plain'") == [(0,)]
    server.execute("postgres", "DROP DATABASE source", "DROP DATABASE target")
    [note] = add(server, "early.plain", skip_failing=True)
    assert note.startswith("left out, as the server refused it: index early.choosy")
    assert server.rows("target", "SELECT id FROM early.plain") == [(1,)]
