"""The moment in which two databases change places, while programs write."""

from __future__ import annotations

from functools import partial

import pytest

from covetbackup.core.databases.mysql import exchange, holding
from covetbackup.core.databases.mysql.connection import connect
from covetbackup.core.errors import ServerBusy
from tests.support.mariadb import MysqlServer, create_database
from tests.support.mariadb_backup import settings_for
from tests.support.mysql_writers import STRUCTURE, unaudited, writers

TARGET, INCOMING, KEPT = "shop", "incoming", "shop_replaced_20260101_000000"


@pytest.fixture
def server(mariadb_tidy: MysqlServer) -> MysqlServer:
    """With a database to be replaced, and one alike to take its place."""
    for name in (TARGET, INCOMING):
        create_database(mariadb_tidy, name)
        mariadb_tidy.execute(name, *STRUCTURE)
    return mariadb_tidy


def swap(server: MysqlServer) -> list[str]:
    another = partial(connect, settings_for(server, TARGET), server.password)
    with another() as connection:
        return exchange.exchange(
            connection, another, target=TARGET, incoming=INCOMING, kept_as=KEPT, awake=()
        )


def test_no_row_is_written_without_its_triggers(server: MysqlServer) -> None:
    with writers(server, TARGET):
        assert swap(server) == []
    assert unaudited(server, KEPT) == 0
    assert unaudited(server, TARGET) == 0


def test_a_table_that_stays_in_use_gives_the_others_back_with_their_triggers(
    server: MysqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "_LOCK_SECONDS", 2)
    monkeypatch.setattr(exchange, "_refuse_busy", lambda *_: None)  # it is taken right after that
    reader = server.connect(TARGET)
    with reader.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM audit")
    before = server.rows(None, _TRIGGERS)
    with pytest.raises(ServerBusy, match="in use"):
        swap(server)
    reader.close()
    assert server.rows(None, _TRIGGERS) == before
    assert KEPT not in server.databases()
    with writers(server, TARGET):
        pass
    assert unaudited(server, TARGET) == 0


_TRIGGERS = f"""
SELECT TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_ORDER, ACTION_STATEMENT
FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA IN ('{TARGET}', '{INCOMING}') ORDER BY 1, 2
"""


def test_more_triggers_than_sessions_can_hold_are_replaced_all_the_same(
    server: MysqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "_MOST", 3)
    [note] = swap(server)
    assert "could not be held off" in note
    with writers(server, TARGET):
        pass
    assert unaudited(server, TARGET) == 0
