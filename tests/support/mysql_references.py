"""A database whose views, bodies and defaults name databases: its own and another one."""

from __future__ import annotations

from covetbackup.core.databases.mysql.engine import MysqlEngine
from covetbackup.core.progress import Silent
from tests.support.mariadb import MysqlServer, create_database
from tests.support.mariadb_backup import Taken, fill
from tests.support.restore_requests import request_for

SHARED = "shared_rates"

_SHARED = (
    "CREATE TABLE rate (id int PRIMARY KEY, r int)",
    "INSERT INTO rate VALUES (1, 10), (2, 20)",
    "CREATE FUNCTION triple(x int) RETURNS int DETERMINISTIC RETURN x * 3",
)
_OWN = (
    "CREATE TABLE sale (id int PRIMARY KEY, v int, rate int,"
    " CONSTRAINT to_rate FOREIGN KEY (rate) REFERENCES {shared}.rate (id))",
    "INSERT INTO sale VALUES (1, 100, 1), (2, 200, NULL)",
    "CREATE FUNCTION twice(x int) RETURNS int DETERMINISTIC RETURN x * 2",
    "CREATE FUNCTION total() RETURNS int READS SQL DATA RETURN (SELECT sum(v) FROM {own}.sale)",
    "CREATE VIEW joined AS SELECT s.id, r.r FROM {own}.sale s JOIN {shared}.rate r ON r.id = s.id",
    "CREATE VIEW called AS SELECT s.id, {own}.twice(r.r) AS t, {shared}.triple(s.v) AS u,"
    " '`{own}`.`sale` in a text' AS x FROM sale s JOIN {shared}.rate r ON r.id = s.id",
    "CREATE VIEW unioned AS SELECT id FROM {own}.joined UNION ALL SELECT r FROM {shared}.rate",
    # An alias and a common table expression with the names of the database and of a table of it.
    "CREATE VIEW alias AS SELECT `{own}`.id, `{own}`.v FROM {own}.sale AS `{own}`"
    " JOIN {shared}.rate r ON r.id = `{own}`.id",
    "CREATE VIEW expression AS WITH rate AS (SELECT * FROM {own}.sale WHERE v > 100)"
    " SELECT rate.v, r.r FROM rate JOIN {shared}.rate r ON r.id = rate.id",
    "CREATE VIEW checked AS SELECT id, v FROM sale WHERE EXISTS"
    " (SELECT 1 FROM {shared}.rate WHERE rate.id = sale.id) WITH CHECK OPTION",
    "CREATE VIEW trimmed AS SELECT trim(BOTH 'x' FROM {own}.sale.v) AS t,"
    " extract(YEAR FROM now()) > 2000 AS y FROM {own}.sale JOIN {shared}.rate USING (id)",
    "CREATE TABLE log (what int)",
    # In small letters: MariaDB keeps the words of a trigger's author.
    "create trigger {own}.noting after insert on {own}.sale for each row"
    " insert into {own}.log values (new.id)",
    "CREATE PROCEDURE emptied() DELETE FROM {own}.log",
    "CREATE PROCEDURE harmless() SELECT count(*) FROM log",
    "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01' DO DELETE FROM {own}.log",
    "CREATE EVENT tidy ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01' DO DELETE FROM log",
    "CREATE EVENT asleep ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM log",
)
_MARIADB = (
    "CREATE SEQUENCE numbers START WITH 100",
    "CREATE SEQUENCE {shared}.numbers START WITH 500",
    "CREATE TABLE numbered (id int DEFAULT nextval({own}.numbers),"
    " other int DEFAULT nextval({shared}.numbers))",
    "CREATE VIEW numbering AS SELECT s.id, lastval({own}.numbers) AS n FROM sale s",
)
NAMING = ("event nightly", "function total", "procedure emptied", "trigger noting")
"""What of it acts on the original when it is restored under another name."""


def make_referring(server: MysqlServer, name: str, *, mariadb: bool = True) -> str:
    """Create the database `name` and the other one; return `name`."""
    create_database(server, SHARED)
    server.execute(SHARED, *_SHARED)
    create_database(server, name)
    statements = (*_OWN, *_MARIADB) if mariadb else _OWN
    server.execute(name, *(one.format(own=name, shared=SHARED) for one in statements))
    return name


def restore_with_notes(
    engine: MysqlEngine, taken: Taken, target: str, *, replace: bool = False, **extra: object
) -> tuple[list[str], str]:
    """Restore all of `taken`; return the notes of the result and what is kept, if anything."""
    options = request_for(target, replace=replace, **extra)
    with engine.restore(options, taken.inventory, Silent()) as session:
        fill(session, taken)
        session.commit()
        return list(session.notes), session.retained_as  # type: ignore[attr-defined]


def event_states(server: MysqlServer, database: str) -> dict[str, str]:
    query = "SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = "
    return dict(server.rows(None, f"{query}'{database}'"))
