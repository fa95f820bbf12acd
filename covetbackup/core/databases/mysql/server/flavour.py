"""The flavour, MySQL or MariaDB, and the version of a server or client program."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from covetbackup.core.errors import BadSetting

A_YEAR = 31_536_000
"""Seconds; the most that servers accept. A session that holds a snapshot or a scratch database is
idle for as long as a dump or a load lasts."""

_NUMBER = re.compile(r"(\d+)\.(\d+)\.(\d+)")


class Flavour(StrEnum):
    """A server's product; the value is its usual spelling."""

    MARIADB = "MariaDB"
    MYSQL = "MySQL"


@dataclass(frozen=True, slots=True)
class Version:
    """A version: `text` as the server or program gives it, `number` as (major, minor, patch)."""

    flavour: Flavour
    number: tuple[int, int, int]
    text: str

    def __str__(self) -> str:
        return f"{self.flavour} {'.'.join(map(str, self.number))}"

    @property
    def series(self) -> tuple[int, int]:
        """Major and minor number."""
        return self.number[:2]

    @property
    def is_mariadb(self) -> bool:
        """Whether the flavour is MariaDB."""
        return self.flavour is Flavour.MARIADB

    @property
    def session_statements(self) -> tuple[str, ...]:
        """The settings of our sessions: no timeouts, no special sql_mode, UTC."""
        limit = "max_statement_time" if self.is_mariadb else "max_execution_time"
        statements = [
            f"SET SESSION sql_mode = '', time_zone = '+00:00', wait_timeout = {A_YEAR},"
            f" net_write_timeout = 3600, net_read_timeout = 3600, {limit} = 0"
        ]
        if not self.is_mariadb and self.number >= (8, 0, 0):
            # Else sizes and row estimates may be a day old.
            statements.append("SET SESSION information_schema_stats_expiry = 0")
        return tuple(statements)

    @property
    def log_status_statement(self) -> str:
        """The statement that shows the position of the binary log; MySQL 8.4 renamed it."""
        if not self.is_mariadb and self.number >= (8, 2, 0):
            return "SHOW BINARY LOG STATUS"
        return "SHOW MASTER STATUS"


# The first MySQL whose information_schema lists check constraints.
_OLDEST = {Flavour.MARIADB: (10, 4, 0), Flavour.MYSQL: (8, 0, 16)}


def version_of(text: str) -> Version:
    """Parse the version in the result of VERSION(), a greeting or the output of `--version`.

    Raises `BadSetting` for what is neither, or too old for the statements used here.
    """
    # Some MariaDB servers greet as "5.5.5-10.6.7-MariaDB", for the sake of old clients.
    text = text.removeprefix("5.5.5-")
    found = _NUMBER.search(text)
    if found is None:
        raise BadSetting(f"{text[:80]!r} is no version of MySQL or MariaDB")
    major, minor, patch = map(int, found.groups())
    flavour = Flavour.MARIADB if "mariadb" in text.lower() else Flavour.MYSQL
    version = Version(flavour, (major, minor, patch), text)
    if version.number < _OLDEST[flavour]:
        oldest = ".".join(map(str, _OLDEST[flavour]))
        raise BadSetting(f"{version} is older than {oldest}, the oldest supported")
    return version
