"""What a restore says before it loads a row: of the server, of its role, and of the backup."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from covetbackup.core.databases.base import RestoreOptions
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
    url = server.url("postgres" if adds else "copy", role.name)
    selection = Selection(("public.t",)) if adds else None
    options = RestoreOptions(url, taken.inventory, adds=adds, selection=selection)
    with pytest.raises(BadSetting, match=f"sessions of role {role.name} are read-only") as raised:
        engine_for(server, role=role).restore(options, Silent()).__enter__()
    fix = f"ALTER ROLE {role.name} RESET default_transaction_read_only;"
    assert fix in raised.value.hint
    server.execute("postgres", fix)
    if not adds:
        put_back(engine_for(server, role=role), taken, url)
