"""A restore of PostgreSQL that stands still at a chosen place, for as long as a test wants."""

from __future__ import annotations

from covetbackup.core.databases.postgresql.restore.scratch import PREFIX
from tests.support.postgres import PostgresServer

BRAKE = "slow_down"
"""While there is a database of that name, a restore stands still where `slow` is called."""

SLOW = f"""
CREATE FUNCTION slow(number int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF current_database() LIKE '{PREFIX}%' AND
        EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = '{BRAKE}')
    THEN PERFORM pg_catalog.pg_sleep(100); END IF;
    RETURN number;
END $$
"""


def is_standing(server: PostgresServer, statement: str) -> bool:
    """Whether it stands in a statement that begins so."""
    query = (
        f"SELECT 1 FROM pg_stat_activity WHERE query LIKE '{statement}%'"
        f" AND datname LIKE '{PREFIX}%' AND wait_event = 'PgSleep'"
    )
    return bool(server.rows("postgres", query))
