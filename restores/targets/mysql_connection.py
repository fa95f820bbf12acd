"""A connection to a MySQL or MariaDB server that a person chose as a target."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from backups.engine_factory import mysql_settings, server_password
from backups.models import Server
from covetbackup.core.databases.mysql.server.connection import Connection, connect, translated


@contextmanager
def on_server(server: Server) -> Iterator[Connection]:
    """Raises `CovetError`, for the server's own errors too."""
    settings = mysql_settings(server)
    with translated(settings), connect(settings, server_password(server)) as connection:
        yield connection
