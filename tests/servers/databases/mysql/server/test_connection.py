"""Connections to a real server."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.mysql.server import connection
from covetbackup.core.errors import LoginRefused, ServerBusy
from covetbackup.core.stream.secret import Secret
from tests.support.mariadb import MakeUser, MysqlServer
from tests.support.mariadb_backup import settings_for


def test_only_the_login_is_limited_in_time(
    mariadb_server: MysqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 3)
    settings = settings_for(mariadb_server, "mysql_not_looked_at")
    with connection.connect(settings, mariadb_server.password) as opened:
        assert opened.value("SELECT SLEEP(4)") == 0
        assert opened.value("SELECT @@wait_timeout") == 31_536_000


def test_what_waiting_does_not_help_is_told_from_what_it_does(
    mariadb_server: MysqlServer, mariadb_user: MakeUser
) -> None:
    user = mariadb_user()
    settings = settings_for(mariadb_server, "shop", user=user)
    with pytest.raises(LoginRefused, match="denied"):
        connection.connect(settings, Secret("wrong"))
    mariadb_server.execute(None, f"ALTER USER `{user.name}`@`%` WITH MAX_USER_CONNECTIONS 1")
    with connection.connect(settings, user.password), pytest.raises(ServerBusy):
        connection.connect(settings, user.password)
    mariadb_server.execute(None, f"ALTER USER `{user.name}`@`%` ACCOUNT LOCK")
    with pytest.raises(LoginRefused, match="locked"):
        connection.connect(settings, user.password)
