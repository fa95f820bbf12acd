"""Rows that the target would refuse, which the source holds, come back; so do rows others need."""

from __future__ import annotations

import re

import pytest

from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.postgresql.backup import plan
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import SinkFailed
from covetbackup.core.progress import Silent
from tests.support.postgres import PostgresServer
from tests.support.postgres_backup import contents, engine_for, fill, put_back, schema_of, take

# `allowed` is loaded after `asking`, and read by a plain name. The rest refuses its rows by now.
CHECKED = """
CREATE TABLE allowed (id int PRIMARY KEY); INSERT INTO allowed VALUES (1);
CREATE FUNCTION known(int) RETURNS bool LANGUAGE sql STABLE AS
  'SELECT EXISTS (SELECT FROM allowed WHERE id = $1)';
CREATE TABLE asking (id int CONSTRAINT is_known CHECK (known(id)));
COMMENT ON CONSTRAINT is_known ON asking IS 'of a check';
INSERT INTO asking VALUES (1);
CREATE FUNCTION fresh(int) RETURNS bool LANGUAGE sql STABLE AS
  'SELECT current_setting(''application_name'') NOT LIKE ''covetbackup%''';
CREATE TABLE old (id int, CONSTRAINT is_fresh CHECK (fresh(id)));
CREATE TABLE older (CONSTRAINT is_older CHECK (fresh(id))) INHERITS (old);
INSERT INTO older VALUES (3);
CREATE DOMAIN aged AS int CONSTRAINT is_aged CHECK (fresh(VALUE));
CREATE TABLE ages (age aged[]); INSERT INTO ages VALUES ('{4}');
CREATE TABLE parted (id int, CONSTRAINT in_parts CHECK (fresh(id))) PARTITION BY LIST (id);
CREATE TABLE part PARTITION OF parted FOR VALUES IN (5); INSERT INTO parted VALUES (5);
CREATE TABLE plain (id int CHECK (id > 0)); INSERT INTO plain VALUES (6);
CREATE TABLE large (id int CONSTRAINT in_chunks CHECK (fresh(id)), word text
  CONSTRAINT is_said CHECK (word <> 'is NOT VALID now'));
INSERT INTO large SELECT 7, repeat('x', 100) FROM generate_series(1, 2000);
"""
CALLING = """
CREATE SCHEMA app; SET search_path = app;
CREATE FUNCTION two(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 2 * $1; END';
CREATE FUNCTION four(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN RETURN two(two($1)); END';
CREATE TABLE made (id int, more int GENERATED ALWAYS AS (four(id)) STORED);
INSERT INTO made VALUES (1);
"""


@pytest.mark.parametrize("method", ["parallel", "logical"])
def test_rows_that_a_check_refuses_come_back_and_the_check_is_named(
    postgres_server: PostgresServer,
    postgres_database: str,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "SMALLEST_PART_BYTES", 60_000)
    monkeypatch.setattr(plan, "LARGEST_PART_BYTES", 60_000)
    postgres_server.execute(postgres_database, CHECKED)
    engine, copy = engine_for(postgres_server, postgres_database), f"{postgres_database}_copy"
    taken = take(engine, method=method)
    options = RestoreRequest(copy, jobs=2)
    with engine.restore(options, taken.inventory, Silent()) as session:
        fill(session, taken.members, jobs=2)
        assert differences(taken.inventory, session.inventory()) == []
        notes = session.notes
        session.commit()
    assert contents(postgres_server, copy) == contents(postgres_server, postgres_database)
    assert {re.split(" does not hold| cannot be", note)[0] for note in notes} == {
        "check constraint is_fresh of table public.old",
        "check constraint is_older of table public.older",
        "check constraint is_aged of domain public.aged",
        "check constraint in_parts of table public.parted",
        "check constraint in_chunks of table public.large",
    }
    valid = "SELECT conname FROM pg_constraint WHERE contype = 'c' AND NOT convalidated ORDER BY 1"
    names = ["in_chunks", "in_parts", "in_parts", "is_aged", "is_fresh", "is_fresh", "is_older"]
    assert [name for (name,) in postgres_server.rows(copy, valid)] == names
    made_again = """SELECT conname FROM pg_constraint
      WHERE connamespace = 'information_schema'::regnamespace AND oid >= 16384"""
    assert postgres_server.rows(copy, made_again) == []
    original = schema_of(postgres_server, postgres_database).splitlines()
    restored = schema_of(postgres_server, copy).splitlines()
    gone = [line for line in original if line not in restored]
    assert all("fresh" in line for line in gone if "CONSTRAINT" in line)


def test_rows_of_columns_that_call_functions_by_plain_names_come_back(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    path = f"ALTER DATABASE {postgres_database} SET search_path = app"
    postgres_server.execute(postgres_database, path, CALLING)
    engine, copy = engine_for(postgres_server, postgres_database), f"{postgres_database}_copy"
    put_back(engine, take(engine), postgres_server.url(copy))
    assert postgres_server.rows(copy, "SELECT * FROM app.made") == [(1, 4)]


def test_a_check_that_is_not_to_blame_lets_the_error_through(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    postgres_server.execute(
        postgres_database,
        "CREATE TABLE t (id int CHECK (id > 0))",
        "INSERT INTO t VALUES (123456)",
    )
    engine = engine_for(postgres_server, postgres_database)
    taken = take(engine)
    broken = {name: each.replace(b"123456", b"12ab56") for name, each in taken.members.items()}
    assert broken != taken.members
    options = RestoreRequest("never")
    with pytest.raises(SinkFailed, match="invalid input syntax"):
        with engine.restore(options, taken.inventory, Silent()) as session:
            fill(session, broken)
