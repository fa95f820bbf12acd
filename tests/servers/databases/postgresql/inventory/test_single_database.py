"""pg_cron, which exists in one database of a server only, and what a restore makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from covetbackup.core.databases.base import required_inventory
from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.progress import Silent
from tests.support import postgres_server as servers
from tests.support.postgres import PostgresServer, drop_databases, postgres_binaries, run_server
from tests.support.postgres_backup import Taken, contents, engine_for, fill, schema_of, take
from tests.support.restore_requests import request_for

METHODS = ("parallel", "logical")
HOME, COPY = "jobs", "jobs_copy"
# The job never runs: there is no 30th of February.
SCHEDULING = """
CREATE EXTENSION pg_cron; CREATE TABLE t AS SELECT 1 AS id;
SELECT cron.schedule('tick', '0 0 30 2 *', 'INSERT INTO t VALUES (2)');
SELECT cron.schedule('tock', '0 0 30 2 *', E'SELECT \\'a\\tb\\\\c\\'');
SELECT cron.unschedule('tock');
SELECT cron.schedule('tock', '0 0 30 2 *', E'SELECT \\'a\\tb\\\\c\\'');
GRANT USAGE ON SCHEMA cron TO pg_monitor; GRANT SELECT ON cron.job TO pg_monitor;
CREATE VIEW upcoming AS SELECT jobname FROM cron.job; COMMENT ON VIEW upcoming IS 'of the jobs';
"""
JOBS = "SELECT jobid, jobname, schedule, command, database, active FROM cron.job ORDER BY 1"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    installed = postgres_binaries()
    major = installed[-1].parent.name if installed else ""
    if not Path(f"/usr/lib/postgresql/{major}/lib/pg_cron.so").exists():
        pytest.skip("pg_cron is not installed")
    settings = f"shared_preload_libraries = 'pg_cron'\ncron.database_name = '{HOME}'\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(servers, "_SETTINGS", servers._SETTINGS + settings)
        with run_server(installed[-1]) as server:
            yield server


@pytest.fixture(scope="module")
def backups(server: PostgresServer) -> dict[str, Taken]:
    server.create_database(HOME)
    server.execute(HOME, SCHEDULING)
    return {method: take(engine_for(server, HOME), method=method) for method in METHODS}


@pytest.fixture(scope="module")
def original(server: PostgresServer, backups: dict[str, Taken]) -> dict[str, object]:
    return state(server, HOME)


def state(server: PostgresServer, name: str) -> dict[str, object]:
    return {"schema": schema_of(server, name), "jobs": server.rows(name, JOBS)}


def restore(
    server: PostgresServer, taken: Taken, name: str, *, replace: bool = False, **extra: object
) -> list[str]:
    """Restore, compare, make real; the notes."""
    options = request_for(name, replace=replace, jobs=2, **extra)
    with engine_for(server).restore(options, taken.inventory, Silent()) as session:
        fill(session, taken.members, jobs=2)
        found = session.inventory()
        assert differences(required_inventory(session, taken.inventory), found) == []
        session.commit()
        return list(session.notes)  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", METHODS)
def test_after_a_loss_its_database_comes_back_with_its_jobs(
    server: PostgresServer, backups: dict[str, Taken], original: dict[str, object], method: str
) -> None:
    drop_databases(server, {HOME})
    assert restore(server, backups[method], HOME) == []
    assert state(server, HOME) == original
    [warning] = backups[method].outcome.warnings
    assert "pg_cron can only be in one database" in warning
    [(jobid,)] = server.rows(HOME, "SELECT cron.schedule('next', '0 0 30 2 *', 'SELECT 1')")
    assert jobid == 4


def test_in_place_of_its_database_the_jobs_are_the_backups(
    server: PostgresServer, backups: dict[str, Taken], original: dict[str, object]
) -> None:
    server.execute(HOME, "SELECT cron.schedule('other', '0 0 30 2 *', 'SELECT 3')")
    assert restore(server, backups["parallel"], HOME, replace=True) == []
    assert state(server, HOME) == original


@pytest.mark.parametrize("method", METHODS)
def test_a_copy_is_without_it_and_has_the_jobs_beside(
    server: PostgresServer, backups: dict[str, Taken], original: dict[str, object], method: str
) -> None:
    [note] = restore(server, backups[method], COPY)
    assert note == (
        "left out: extension pg_cron, view public.upcoming, as pg_cron can only be in database"
        " 'jobs' of this server; scheduled jobs lie in schema left_out_cron of the restored"
        " database"
    )
    beside = JOBS.replace("jobid,", "jobid::bigint,").replace("active", "active::bool")
    rows = server.rows(COPY, beside.replace("cron.job", "left_out_cron.job"))
    assert rows == original["jobs"]
    assert contents(server, COPY)["public.t"] == contents(server, HOME)["public.t"]
    drop_databases(server, {COPY})


def test_it_is_left_out_of_its_own_database_if_that_is_chosen(
    server: PostgresServer, backups: dict[str, Taken]
) -> None:
    [note] = restore(server, backups["parallel"], HOME, replace=True, leave_out_scheduler=True)
    assert "as that was requested" in note
    extensions = server.rows(HOME, "SELECT extname FROM pg_extension")
    assert extensions == [("plpgsql",)]
    assert server.rows(HOME, "SELECT count(*) FROM left_out_cron.job") == [(2,)]


def test_a_restore_test_says_that_it_was_not_tried(
    server: PostgresServer, backups: dict[str, Taken]
) -> None:
    taken = backups["parallel"]
    options = RestoreRequest(COPY, jobs=2)
    with engine_for(server).restore(options, taken.inventory, Silent()) as session:
        fill(session, taken.members, jobs=2)
        assert differences(required_inventory(session, taken.inventory), session.inventory()) == []
        [note] = session.notes  # type: ignore[attr-defined]
    assert note.startswith("not tried, as it is created after the rename: extension pg_cron")
