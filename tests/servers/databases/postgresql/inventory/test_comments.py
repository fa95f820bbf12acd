"""Comments come back on whatever they are, and one that does not is a difference."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.inventory import differences
from tests.support.postgres import PostgresServer
from tests.support.postgres_backup import engine_for, put_back, schema_of, take

ANNOTATED = """
CREATE DOMAIN positive AS int CONSTRAINT above CHECK (VALUE > 0);
COMMENT ON CONSTRAINT above ON DOMAIN positive IS 'of a domain';
CREATE TYPE pair AS (a int, b int); COMMENT ON COLUMN pair.b IS 'of a composite type';
CREATE TABLE plain (id int PRIMARY KEY, x int CHECK (x > 0));
COMMENT ON COLUMN plain.x IS 'of a column';
COMMENT ON CONSTRAINT plain_pkey ON plain IS 'of a key';
COMMENT ON CONSTRAINT plain_x_check ON plain IS 'of a check';
COMMENT ON INDEX plain_pkey IS 'of the index of a key';
CREATE INDEX by_x ON plain (x); COMMENT ON INDEX by_x IS 'of an index';
CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER acting BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION act();
COMMENT ON TRIGGER acting ON plain IS 'of a trigger';
CREATE RULE kept AS ON DELETE TO plain DO NOTHING; COMMENT ON RULE kept ON plain IS 'of a rule';
CREATE POLICY seen ON plain; COMMENT ON POLICY seen ON plain IS 'of a policy';
CREATE STATISTICS twice ON id, x FROM plain; COMMENT ON STATISTICS twice IS 'of statistics';
CREATE TABLE parted (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10);
COMMENT ON INDEX parted_pkey IS 'of a partitioned index';
COMMENT ON CONSTRAINT part_pkey ON part IS 'of a key of a partition';
CREATE TABLE pointing (id int REFERENCES parted);
COMMENT ON CONSTRAINT pointing_id_fkey ON pointing IS 'of a foreign key';
CREATE MATERIALIZED VIEW seen_of AS SELECT * FROM parted;
COMMENT ON MATERIALIZED VIEW seen_of IS 'of a view';
"""
WRITTEN = 15  # comments in ANNOTATED


@pytest.mark.parametrize("method", ["parallel", "logical"])
def test_every_comment_comes_back_beside_a_partitioned_index(
    postgres_server: PostgresServer, postgres_database: str, method: str
) -> None:
    postgres_server.execute(postgres_database, ANNOTATED)
    engine, copy = engine_for(postgres_server, postgres_database), f"{postgres_database}_copy"
    taken = take(engine, method=method)
    restored = put_back(engine, taken, postgres_server.url(copy), jobs=2)
    assert schema_of(postgres_server, copy) == schema_of(postgres_server, postgres_database)
    assert (taken.inventory.objects or {})["comment"] == WRITTEN
    assert differences(taken.inventory, restored) == []
    postgres_server.execute(copy, "COMMENT ON INDEX by_x IS NULL")
    without = take(engine_for(postgres_server, copy)).inventory
    lost = [f"{WRITTEN - 1} objects of kind comment instead of {WRITTEN}"]
    assert differences(taken.inventory, without) == lost
