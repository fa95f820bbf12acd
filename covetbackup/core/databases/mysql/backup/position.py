"""Positions in the binary log: file, offset, GTID set, and the server whose log it is."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pymysql

from covetbackup.core.databases.mysql.server.connection import Connection, text_of

_IN_DUMP = re.compile(rb"MASTER_LOG_FILE='((?:[^'\\]|\\.)+)', MASTER_LOG_POS=(\d+)")


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A position in the binary log.

    `str` returns "binlog.000003:1234" and, if there is one, a space and the GTID set.
    """

    file: str
    offset: int
    gtid: str

    def __str__(self) -> str:
        return f"{self.file}:{self.offset} {self.gtid}".rstrip()


def read_position(connection: Connection) -> tuple[LogPosition | None, str]:
    """Return the current position, or None and the reason.

    It is a snapshot's only while all writes are blocked.
    """
    version = connection.version
    try:
        rows = connection.rows(version.log_status_statement)
        if not rows:
            return None, "the server writes no binary log: no point in time can be restored from it"
        file, offset = str(rows[0][0]), int(rows[0][1])
        gtid = _gtid(connection, rows[0])
    except pymysql.err.Error as error:
        right = "BINLOG MONITOR" if version.is_mariadb else "REPLICATION CLIENT"
        return None, f"no binary log position, for lack of {right}: {text_of(error)}"
    return LogPosition(file, offset, "".join(gtid.split())), ""


def _gtid(connection: Connection, status: tuple[object, ...]) -> str:
    if connection.version.is_mariadb:
        return str(connection.value("SELECT @@global.gtid_binlog_pos") or "")
    return str(status[4] if len(status) > 4 else "")


def position_in_dump(connection: Connection, header: bytes) -> LogPosition | None:
    """Return the position that a MariaDB dump program recorded for its own snapshot, if any."""
    found = _IN_DUMP.search(header)
    if found is None:
        return None
    file, offset = found[1].decode(), int(found[2])
    try:
        gtid = str(connection.value("SELECT BINLOG_GTID_POS(%s, %s)", [file, offset]) or "")
    except pymysql.err.Error:
        gtid = ""  # a right is missing, or the file is gone; file and offset are known
    return LogPosition(file, offset, gtid)


def branch_of(connection: Connection) -> str:
    """Return whose binary log it is: a MySQL server's UUID, a MariaDB server's id."""
    name = "server_id" if connection.version.is_mariadb else "server_uuid"
    return str(connection.value(f"SELECT @@global.{name}"))
