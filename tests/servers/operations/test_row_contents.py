"""No message of a failed restore quotes a row, whatever the server and the programs print."""

from __future__ import annotations

import traceback
from dataclasses import replace

import pytest

from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import CovetError
from covetbackup.core.stream.diagnostics import without_rows
from tests.support import mariadb_backup, postgres_backup
from tests.support.mariadb import MysqlServer, create_database
from tests.support.postgres import PostgresServer

SECRET = "Hidden7541"


def told(error: CovetError) -> str:
    """All that reaches a job page of an error."""
    details = without_rows("".join(traceback.format_exception(error)))
    return f"{error.message} {error.hint} {error.details} {details}"


def test_a_mariadb_restore_that_fails_quotes_no_row(mariadb_tidy: MysqlServer) -> None:
    database = create_database(mariadb_tidy)
    mariadb_tidy.execute(
        database,
        "CREATE TABLE t (name varchar(20) PRIMARY KEY, n int) ENGINE = InnoDB",
        f"INSERT INTO t VALUES ('{SECRET}', 1), ('other{SECRET}', 2)",
    )
    engine = mariadb_backup.engine_for(mariadb_tidy, database)
    taken = mariadb_backup.take(engine)
    data = taken.members["data-0001.sql"].replace(
        f"'other{SECRET}'".encode(), f"'{SECRET}'".encode()
    )
    twice = replace(taken, members={**taken.members, "data-0001.sql": data})
    copy = mariadb_tidy.url(mariadb_backup.fresh_name())
    with pytest.raises(CovetError, match=r"ERROR 1062 \(23000\) at line \d+: Duplicate") as failed:
        mariadb_backup.put_back(engine, twice, copy)
    assert SECRET not in told(failed.value)
    rows = Selection(("t",), with_structure=False)
    with pytest.raises(CovetError, match="Duplicate entry") as failed:
        mariadb_backup.put_back(engine, taken, mariadb_tidy.url(database), selection=rows)
    assert SECRET not in told(failed.value)


@pytest.mark.parametrize("method", ["", "logical"])
def test_a_postgresql_restore_that_fails_quotes_no_row(
    postgres_tidy: PostgresServer, method: str
) -> None:
    database = postgres_tidy.create_database("rows_source")
    postgres_tidy.execute(
        database,
        "CREATE TABLE t (name text, n int, UNIQUE (name))",
        f"INSERT INTO t VALUES ('{SECRET}', 1), ('Other_7541', 99997541)",
    )
    engine = postgres_backup.engine_for(postgres_tidy, database)
    taken = postgres_backup.take(engine, method=method)
    for old, new in ((b"Other_7541", SECRET.encode()), (b"99997541", b"x" + SECRET[-7:].encode())):
        members = {name: data.replace(old, new) for name, data in taken.members.items()}
        with pytest.raises(CovetError) as failed:
            postgres_backup.put_back(
                engine, replace(taken, members=members), postgres_tidy.url("rows_copy")
            )
        assert "7541" not in told(failed.value)
        assert "Key (name)" in told(failed.value) or "COPY t, line 2, column n" in told(
            failed.value
        )
