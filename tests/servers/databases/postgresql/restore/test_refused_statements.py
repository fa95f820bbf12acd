"""Statements that a restore has trouble with: they are tried again, made last, or left out."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.base import required_inventory
from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import SinkFailed
from covetbackup.core.progress import Silent
from tests.support.postgres import PostgresServer
from tests.support.postgres_backup import contents, engine_for, fill, put_back, schema_of, take

METHODS = pytest.mark.parametrize("method", ["parallel", "logical"])

# An operator of an extension in a comparison that is written without a schema.
NEEDS_PATH = """
CREATE SCHEMA tools; CREATE EXTENSION ltree SCHEMA tools;
CREATE TABLE node (path tools.ltree, id int); INSERT INTO node VALUES ('a.b', 1);
CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
SET search_path = public, tools;
CREATE TRIGGER moved BEFORE UPDATE ON node FOR EACH ROW
  WHEN (OLD.path IS DISTINCT FROM NEW.path) EXECUTE FUNCTION act();
COMMENT ON TRIGGER moved ON node IS 'of the trigger';
CREATE RULE quiet AS ON UPDATE TO node WHERE OLD.path IS DISTINCT FROM NEW.path DO NOTHING;
CREATE VIEW distinct_nodes AS SELECT path IS DISTINCT FROM 'a' AS other FROM node;
"""
# Servers since 17 create and refresh these with a search path of their own, and refuse them.
NEEDS_PATH_BEFORE_17 = """
SET search_path = public, tools;
CREATE TABLE docs (body tsvector); INSERT INTO docs VALUES ('cat'), ('dog');
CREATE MATERIALIZED VIEW words AS SELECT * FROM ts_stat('SELECT body FROM docs');
CREATE FUNCTION zero() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0';
CREATE FUNCTION one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + zero()';
CREATE INDEX by_one ON node (one(id));
"""
# Refused in every session but the one that made it: the function checks who asks.
REFUSED = """
CREATE TABLE t (id int); INSERT INTO t VALUES (1);
CREATE FUNCTION picky(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN IF current_setting(''application_name'') LIKE ''covetbackup%'' THEN
   RAISE ''not for you''; END IF; RETURN 1; END';
CREATE INDEX choosy ON t (picky(id)); COMMENT ON INDEX choosy IS 'of an index that is not there';
CREATE INDEX plain ON t (id);
"""
# Refused for the rows of a partition only: the index of the partitioned tables above is there.
REFUSED_IN_PARTITION = """
CREATE TABLE parted (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9) PARTITION BY RANGE (id);
CREATE TABLE leaf PARTITION OF part FOR VALUES FROM (0) TO (9); INSERT INTO parted VALUES (1), (2);
CREATE FUNCTION picky(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN IF current_setting(''application_name'') LIKE ''covetbackup%'' THEN
   RAISE ''not for you''; END IF; RETURN 1; END';
CREATE INDEX choosy ON parted (picky(id)); COMMENT ON INDEX choosy IS 'of an invalid index';
"""
LOGGING = """
CREATE TABLE log (tag text); CREATE TABLE t AS SELECT 1 AS id;
CREATE MATERIALIZED VIEW seen AS SELECT * FROM t;
CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS
  'BEGIN INSERT INTO public.log VALUES (tg_tag); END';
CREATE EVENT TRIGGER noting ON ddl_command_end EXECUTE FUNCTION note();
COMMENT ON EVENT TRIGGER noting IS 'of an event trigger';
ALTER EVENT TRIGGER noting ENABLE ALWAYS;
TRUNCATE log;
"""


@METHODS
def test_statements_that_need_the_sources_search_path_come_back(
    postgres_server: PostgresServer, postgres_database: str, method: str
) -> None:
    path = f"ALTER DATABASE {postgres_database} SET search_path = public, tools"
    postgres_server.execute(postgres_database, path, NEEDS_PATH)
    if postgres_server.major < 17:
        postgres_server.execute(postgres_database, NEEDS_PATH_BEFORE_17)
    engine, copy = engine_for(postgres_server, postgres_database), f"{postgres_database}_copy"
    taken = take(engine, method=method)
    restored = put_back(engine, taken, postgres_server.url(copy), jobs=2)
    assert differences(taken.inventory, restored) == []
    assert schema_of(postgres_server, copy) == schema_of(postgres_server, postgres_database)
    assert contents(postgres_server, copy) == contents(postgres_server, postgres_database)


@METHODS
def test_event_triggers_are_made_last_and_see_nothing_of_the_restore(
    postgres_server: PostgresServer, postgres_database: str, method: str
) -> None:
    postgres_server.execute(postgres_database, LOGGING)
    engine, copy = engine_for(postgres_server, postgres_database), f"{postgres_database}_copy"
    taken = take(engine, method=method)
    restored = put_back(engine, taken, postgres_server.url(copy), jobs=2)
    assert differences(taken.inventory, restored) == []
    assert schema_of(postgres_server, copy) == schema_of(postgres_server, postgres_database)
    assert postgres_server.rows(copy, "SELECT * FROM log") == []
    assert postgres_server.rows(copy, "SELECT count(*) FROM seen") == [(1,)]


@METHODS
def test_what_the_server_refuses_is_left_out_by_choice_only_and_named(
    postgres_server: PostgresServer, postgres_database: str, method: str
) -> None:
    postgres_server.execute(postgres_database, REFUSED)
    engine, copy = engine_for(postgres_server, postgres_database), f"{postgres_database}_copy"
    taken = take(engine, method=method)
    with pytest.raises(SinkFailed, match=r"index public\.choosy failed: .*not for you"):
        put_back(engine, taken, postgres_server.url(copy), jobs=2)
    assert copy not in postgres_server.databases()
    options = RestoreRequest(copy, options=("skip_failing",), jobs=2)
    with engine.restore(options, taken.inventory, Silent()) as session:
        fill(session, taken.members, jobs=2)
        found = session.inventory()
        session.commit()
        assert differences(required_inventory(session, taken.inventory), found) == []
        assert differences(taken.inventory, found) != []
        notes = session.notes
    assert [note.split(": ")[1] for note in notes] == [
        "index public.choosy",
        "comment public.INDEX choosy",
    ]
    indexes = "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'"
    assert postgres_server.rows(copy, indexes) == [("plain",)]


def test_the_index_of_a_partition_is_left_out_with_those_that_need_it(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    postgres_server.execute(postgres_database, REFUSED_IN_PARTITION)
    # Of two equal keys, as a damaged index lets them in, the copy's own index takes but one.
    double = "ALTER INDEX leaf_pkey RENAME TO leaf_id; UPDATE pg_index SET indisunique = false"
    postgres_server.execute(postgres_database, f"{double} WHERE indexrelid = 'leaf_id'::regclass")
    postgres_server.execute(postgres_database, "INSERT INTO leaf VALUES (2)")
    engine, copy = engine_for(postgres_server, postgres_database), f"{postgres_database}_copy"
    taken = take(engine)
    options = RestoreRequest(copy, options=("skip_failing",), jobs=2)
    with engine.restore(options, taken.inventory, Silent()) as session:
        fill(session, taken.members, jobs=2)
        found = session.inventory()
        session.commit()
        assert differences(required_inventory(session, taken.inventory), found) == []
        notes = session.notes
    broken = [note.split(" of a partitioned")[0] for note in notes if "no valid index" in note]
    assert broken == [
        "constraint public.parted parted_pkey",
        "constraint public.part part_pkey",
        "index public.choosy",
        "index public.part_picky_idx",
    ]
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    assert postgres_server.rows(copy, invalid) == [(4,)]
