"""What answers on a port may be anything, or nobody at all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from covetbackup.core.databases.mysql.server import connection
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.errors import DatabaseUnavailable


def test_what_listens_and_never_speaks_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.2)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    settings = MysqlSettings("127.0.0.1", "me", "shop", port, sslmode="disable")
    with _silent(listener), pytest.raises(DatabaseUnavailable, match="timed out"):
        connection.connect(settings, None)


def test_a_socket_file_that_never_speaks_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.2)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "socket"))
    listener.listen()
    settings = MysqlSettings("", "me", "shop", socket=str(tmp_path / "socket"))
    with _silent(listener), pytest.raises(DatabaseUnavailable, match="timed out"):
        connection.connect(settings, None)


@contextmanager
def _silent(listener: socket.socket) -> Iterator[None]:
    """Somebody who accepts one connection and hangs up after ten seconds, unless told before."""
    told = threading.Event()

    def work() -> None:
        accepted, _ = listener.accept()
        with accepted:
            told.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        told.set()
        thread.join()
        listener.close()
