"""Connections to a real server."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.mysql import connection
from tests.support.mariadb import MysqlServer
from tests.support.mariadb_backup import settings_for


def test_only_the_login_is_limited_in_time(
    mariadb_server: MysqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_CONNECT_SECONDS", 3)
    settings = settings_for(mariadb_server, "mysql_not_looked_at")
    with connection.connect(settings, mariadb_server.password) as opened:
        assert opened.value("SELECT SLEEP(4)") == 0
        assert opened.value("SELECT @@wait_timeout") == 31_536_000
