"""Two databases that are to change places, and what is asserted of them."""

from __future__ import annotations

from functools import partial
from typing import Any

from covetbackup.core.databases.mysql.replace import swap as swapping
from covetbackup.core.databases.mysql.server.connection import connect
from tests.support.mariadb import MysqlServer, create_database
from tests.support.mariadb_backup import settings_for
from tests.support.mysql_writers import STRUCTURE, TRIGGERS

TARGET, INCOMING, KEPT = "shop", "incoming", "shop_replaced_20260101_000000"

DEPENDENCIES = ("CREATE TABLE plain (id int PRIMARY KEY)",)
ALL = (*STRUCTURE, *TRIGGERS)
TEXTS = (
    "CREATE TABLE t (a text)",
    r"CREATE TRIGGER escapes BEFORE INSERT ON t FOR EACH ROW"
    r" SET NEW.a = concat(replace(NEW.a, '\\', '/'), 'it\'s')",
    "CREATE TABLE u (a text)",
    "SET collation_connection = utf8mb4_bin",
    "CREATE EVENT daily ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01' DO SET @a = 'a'",
    "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
    r"CREATE TRIGGER unescaped BEFORE INSERT ON u FOR EACH ROW SET NEW.a = '\'",
    r"CREATE VIEW v AS SELECT '\' AS a",
)
"""Triggers, a view and an event whose meaning depends on escapes and on settings of a session."""
AS_WRITTEN = [("a/bit's",), ("\\",), ("\\",), ("utf8mb4_bin",)]
"""What `texts` returns then."""
PAIRS = {
    "the old has no triggers": (STRUCTURE, ALL),
    "the old has no triggers and other tables": (DEPENDENCIES, ALL),
    "the old is empty": ((), ALL),
    "the new has no triggers": (ALL, STRUCTURE),
    "the new has other tables": (ALL, DEPENDENCIES),
    "the new is empty": (ALL, ()),
    "neither has triggers": (STRUCTURE, DEPENDENCIES),
}
"""What makes the old database and the new one."""


def make_pair(server: MysqlServer, old: tuple[str, ...], new: tuple[str, ...]) -> None:
    for name, statements in ((TARGET, old), (INCOMING, new)):
        create_database(server, name)
        server.execute(name, *statements)


def drop_pair(server: MysqlServer) -> None:
    for name in server.databases() & {TARGET, INCOMING, KEPT}:
        server.execute(None, f"DROP DATABASE {name}")


def swap(server: MysqlServer, *, enabled_events: tuple[str, ...] = ()) -> list[str]:
    another = partial(connect, settings_for(server, TARGET), server.password)
    with another() as connection:
        return swapping.swap_databases(
            connection,
            another,
            target=TARGET,
            incoming=INCOMING,
            retained_as=KEPT,
            enabled_events=enabled_events,
        )


def things(server: MysqlServer, database: str) -> list[tuple[Any, ...]]:
    """The tables of a database but our own, and its triggers in the order in which they act."""
    found = [each for query in _THINGS for each in server.rows(None, query.format(database))]
    return [each for each in found if not str(each[0]).startswith("covet_")]


_THINGS = (
    "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{}' ORDER BY 1",
    "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_ORDER, ACTION_STATEMENT FROM"
    " information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '{}' ORDER BY 1",
)


ROUTINES = (
    "CREATE FUNCTION same(x int) RETURNS int DETERMINISTIC RETURN x",
    "CREATE FUNCTION other() RETURNS text DETERMINISTIC RETURN database()",
)
CHANGED = (
    ROUTINES[0],
    "CREATE FUNCTION other() RETURNS text DETERMINISTIC RETURN 'new'",
    "CREATE PROCEDURE added() SELECT 1",
)


def granted_routines(server: MysqlServer) -> list[tuple[Any, ...]]:
    """The routines of the target on which an account has rights of its own."""
    return server.rows(
        None, f"SELECT Routine_name FROM mysql.procs_priv WHERE Db = '{TARGET}' AND User = 'caller'"
    )


def swap_routines(server: MysqlServer) -> None:
    """Swap databases of which one routine is the same, one another and one new."""
    make_pair(server, ROUTINES, CHANGED)
    server.execute(
        TARGET,
        "CREATE USER caller",
        *(f"GRANT EXECUTE ON FUNCTION {TARGET}.{name} TO caller" for name in ("same", "other")),
    )
    assert swap(server) == []


def texts(server: MysqlServer, database: str) -> list[tuple[Any, ...]]:
    """What `TEXTS` do."""
    server.execute(database, r"INSERT INTO t VALUES ('a\\b')", "INSERT INTO u VALUES ('')")
    event = "SELECT COLLATION_CONNECTION FROM information_schema.EVENTS WHERE EVENT_SCHEMA = "
    rows = "SELECT a FROM t UNION ALL SELECT a FROM u UNION ALL SELECT a FROM v"
    return [*server.rows(database, rows), *server.rows(None, f"{event}'{database}'")]
