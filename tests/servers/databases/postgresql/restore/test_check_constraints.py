"""What a restore says before it loads a row: of the server, of its role, and of the backup."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting
from covetbackup.core.progress import Silent
from tests.support.postgres import PostgresRole, PostgresServer
from tests.support.postgres_backup import engine_for, put_back, take

MakeRole = Callable[..., PostgresRole]


@pytest.mark.parametrize("adds", [False, True])
def test_a_role_whose_sessions_are_read_only_is_told_what_makes_them_so(
    postgres_tidy: PostgresServer, postgres_database: str, postgres_role: MakeRole, adds: bool
) -> None:
    server, role = postgres_tidy, postgres_role("SUPERUSER")
    server.execute(postgres_database, "CREATE TABLE t (a int)")
    taken = take(engine_for(server, postgres_database))
    server.execute("postgres", f"ALTER ROLE {role.name} SET default_transaction_read_only = on")
    url = server.url("copy", role.name)
    selection = Selection(("public.t",)) if adds else None
    options = RestoreRequest(
        "postgres" if adds else "copy", selection=selection, into_existing=adds
    )
    with pytest.raises(BadSetting, match=f"sessions of role {role.name} are read-only") as raised:
        engine_for(server, role=role).restore(options, taken.inventory, Silent()).__enter__()
    fix = f"ALTER ROLE {role.name} RESET default_transaction_read_only;"
    assert fix in raised.value.hint
    server.execute("postgres", fix)
    if not adds:
        put_back(engine_for(server, role=role), taken, url)


_PRIVILEGED = (
    "CREATE TABLE t (a int PRIMARY KEY)",
    "INSERT INTO t VALUES (1), (2)",
    "CREATE FUNCTION noop() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
    "CREATE EVENT TRIGGER loud ON ddl_command_end EXECUTE FUNCTION noop()",
    "CREATE PUBLICATION everything FOR ALL TABLES; CREATE PUBLICATION one FOR TABLE t",
    "CREATE FUNCTION quiet(int) RETURNS int LANGUAGE sql LEAKPROOF AS 'SELECT 1'",
    "CREATE EXTENSION pageinspect; CREATE EXTENSION citext",
    "CREATE TABLE word (name citext)",
)


@pytest.mark.parametrize("method", ["parallel", "logical"])
def test_what_only_a_superuser_may_create_is_named_before_rows_are_loaded_or_left_out(
    postgres_tidy: PostgresServer, postgres_database: str, postgres_role: MakeRole, method: str
) -> None:
    server, role = postgres_tidy, postgres_role("CREATEDB")
    server.execute(postgres_database, *_PRIVILEGED)
    taken = take(engine_for(server, postgres_database), method=method)
    before = server.databases()
    engine, url = engine_for(server, role=role), server.url("copy", role.name)
    with pytest.raises(BadSetting, match=f"role {role.name} may not create: ") as raised:
        put_back(engine, taken, url, owner="none")
    for name in (
        "extension pageinspect",
        "function public.quiet(integer)",
        "publication everything",
        "event trigger loud",
    ):
        assert name in raised.value.message
    assert "citext" not in raised.value.message and "--skip-failing" in raised.value.hint
    assert server.databases() == before
    put_back(engine, taken, url, owner="none", skip_failing=True)
    assert server.rows("copy", "SELECT count(*) FROM t") == [(2,)]
    assert server.rows("copy", "SELECT pubname FROM pg_publication") == [("one",)]


def test_an_extension_that_rows_need_is_never_left_out(
    postgres_tidy: PostgresServer, postgres_database: str, postgres_role: MakeRole
) -> None:
    server, role = postgres_tidy, postgres_role("CREATEDB")
    statements = "CREATE EXTENSION earthdistance CASCADE; CREATE TABLE place (at earth)"
    server.execute(postgres_database, statements)
    taken = take(engine_for(server, postgres_database))
    with pytest.raises(BadSetting, match="may not create: extension earthdistance$") as raised:
        put_back(
            engine_for(server, role=role),
            taken,
            server.url("copy", role.name),
            owner="none",
            skip_failing=True,
        )
    assert raised.value.hint == "restore as a superuser"
