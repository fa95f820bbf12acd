"""Rows that a CHECK constraint refuses today are restored as they were, and it is named."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import DatabaseError
from tests.support.mariadb import MysqlServer
from tests.support.mariadb_backup import checksums, engine_for, fresh_name, put_back, take
from tests.support.postgres_backup import Notes

STRUCTURE = (
    "CREATE TABLE limited (id int PRIMARY KEY, a int CHECK (a < 10), b int,"
    " CONSTRAINT `both` CHECK (a < b), CONSTRAINT kept CHECK (id > 0))"
)
ROWS = (
    "SET check_constraint_checks = 0",
    "INSERT INTO limited VALUES (1, 50, 60), (2, 1, 2), (3, 5, NULL), (4, 3, 2)",
)


def test_rows_that_break_a_check_come_back_and_it_is_named(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    mariadb_server.execute(mariadb_database, STRUCTURE, *ROWS)
    engine, copy, notes = engine_for(mariadb_server, mariadb_database), fresh_name(), Notes()
    taken = take(engine)
    put_back(engine, taken, mariadb_server.url(copy), progress=notes)
    assert checksums(mariadb_server, copy) == checksums(mariadb_server, mariadb_database)
    (line,) = [line for line in notes.lines if "CHECK" in line]
    assert "limited.a, limited.both;" in line and "kept" not in line
    mariadb_server.execute(copy, "DELETE FROM limited")
    rows, notes = Selection(("limited",), with_structure=False), Notes()
    put_back(engine, taken, mariadb_server.url(copy), selection=rows, progress=notes)
    assert checksums(mariadb_server, copy) == checksums(mariadb_server, mariadb_database)
    assert any("limited.a, limited.both;" in line for line in notes.lines)


def test_a_check_that_the_backup_does_not_have_is_kept(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    mariadb_server.execute(mariadb_database, STRUCTURE, *ROWS)
    engine = engine_for(mariadb_server, mariadb_database)
    taken = take(engine)
    mariadb_server.execute(
        mariadb_database, "DELETE FROM limited", "ALTER TABLE limited ADD CHECK (id <> 2)"
    )
    rows = Selection(("limited",), with_structure=False)
    with pytest.raises(DatabaseError, match="CONSTRAINT"):
        put_back(engine, taken, mariadb_server.url(mariadb_database), selection=rows)
