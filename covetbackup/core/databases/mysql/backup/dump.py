"""The dump program: its arguments for each member, its messages, its end mark."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from covetbackup.core.databases.mysql.archive import members as member_names
from covetbackup.core.databases.mysql.replace import metadata_tables
from covetbackup.core.databases.mysql.server.clients import MysqlClients
from covetbackup.core.databases.mysql.server.flavour import Version
from covetbackup.core.databases.mysql.server.optionfile import option_file
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.errors import CovetError, Incomplete, ServerBusy, SourceFailed
from covetbackup.core.stream.base import Filter, Source
from covetbackup.core.stream.process import CommandSource
from covetbackup.core.stream.pump import filtered
from covetbackup.core.stream.reason import reason_lines
from covetbackup.core.stream.secret import Secret

END_MARK = b"-- Dump completed"
_LAST_LINES = 200  # bytes; the mark may be followed by a date

# Options in an administrator's own files are not read, so all that matter are given here.
ALWAYS = (
    "--single-transaction",
    "--quick",
    "--hex-blob",
    # A table that takes numbers from a sequence could not be filled while it alone is locked.
    "--skip-add-locks",
    # On by default since MariaDB 11. A program that loads a range would hold its locks to the end.
    "--skip-no-autocommit",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
    "--no-tablespaces",  # they need PROCESS, and are no part of a database
    "--skip-dump-date",
    "--verbose",  # its messages tell how far it is
)
_NOT_IN_MARIADB = ("--set-gtid-purged=OFF", "--column-statistics=0")

STRUCTURE = ("--no-data", "--skip-triggers")
ROWS = ("--no-create-info", "--skip-triggers")
ROUTINES = ("--no-data", "--no-create-info", "--routines", "--triggers")
EVENTS = ("--no-data", "--no-create-info", "--skip-triggers", "--events")

SNAPSHOT_IS_OPEN = "-- Retrieving table structure"
"""The dump program's first message after its transaction began and it has listed the tables."""


@dataclass(frozen=True, slots=True)
class DumpProgram:
    """The dump program for one database. `encrypted` is as for `option_file`."""

    settings: MysqlSettings
    password: Secret | None
    clients: MysqlClients
    server: Version
    encrypted: bool

    def start(self, options: Sequence[str], *, without: Sequence[str] = ()) -> CommandSource:
        """Return a dump of the whole database without the tables and views `without`, not started.

        Tables are left out rather than named: the program queries named tables one by one, before
        its first message, and would do so under the lock.
        """
        database = self.settings.database
        left_out = [
            ("ignore-table", f"{database}.{name}") for name in (*without, *metadata_tables.TABLES)
        ]
        return self._command([*options], [database], left_out)

    def named(self, options: Sequence[str], names: Sequence[str]) -> CommandSource:
        """Return a dump of only the tables or views `names`, not started."""
        return self._command([*options], [self.settings.database, *names], [])

    def _command(
        self, options: list[str], names: list[str], more: list[tuple[str, str]]
    ) -> CommandSource:
        file = option_file(
            self.settings,
            self.password,
            client=self.clients.version,
            encrypted=self.encrypted,
            options=more,
        )
        own = () if self.clients.version.is_mariadb else _NOT_IN_MARIADB
        return CommandSource(
            [self.clients.dump, file, *ALWAYS, *own, *options, "--", *names],
            secrets=[] if self.password is None else [self.password],
            name="dump program",
        )


def indistinguishable(names: Iterable[str], others: Iterable[str]) -> set[str]:
    """Return which of `others` the dump program would leave out together with `names`.

    It ignores case and accents.
    """
    folded = {_folded(name) for name in names}
    return {other for other in others if _folded(other) in folded}


def _folded(name: str) -> str:
    parts = unicodedata.normalize("NFKD", name.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part)).rstrip()


@contextmanager
def checked(source: CommandSource, *filters: Filter) -> Iterator[Iterator[bytes]]:
    """Yield the bytes of `source` through `filters`; raise `Incomplete` without the end mark."""
    try:
        with filtered(source, [*filters, end_check]) as chunks:
            yield chunks
    except SourceFailed as error:
        raise explained(error, source.messages) from error


def concatenated(parts: Sequence[Source]) -> Source:
    """Return all of `parts` as one source."""

    @contextmanager
    def opened() -> Iterator[Iterator[bytes]]:
        yield _joined(parts)

    return opened()


def _joined(parts: Sequence[Source]) -> Iterator[bytes]:
    for part in parts:
        with part as chunks:
            yield from chunks


def end_check(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass a dump through and raise `Incomplete` if it lacks the end mark."""
    last = b""
    for chunk in chunks:
        last = (last + chunk[-_LAST_LINES:])[-_LAST_LINES:]
        yield chunk
    if not is_end(last):
        raise Incomplete("the dump lacks its last line: it was cut off", "take the backup again")


def is_end(last: bytes) -> bool:
    """Return whether the last bytes of a dump hold its end mark."""
    return last.rstrip().rpartition(b"\n")[2].startswith(END_MARK)


def explained(error: SourceFailed, messages: str) -> CovetError:
    """Return the dump program's failure without its progress messages, and with a hint."""
    lines = [line for line in messages.splitlines() if line and not line.startswith("-- ")]
    text = "; ".join(reason_lines("\n".join(lines))) or error.message
    if any(sign in text for sign in _CHANGED):
        return ServerBusy(
            f"a table was altered, emptied or dropped while it was dumped: {text}",
            "take the backup again when no migration runs",
        )
    hint = next((hint for sign, hint in _HINTS.items() if sign in text), error.hint)
    return SourceFailed(f"the dump program failed: {text}", hint)


# Table definition has changed; doesn't exist; Couldn't find.
_CHANGED = ("Error 1412", "Error: 1412", "(1412)", "Error 1146", "(1146)", "Couldn't find table")
# MySQL's program has its session wait for a day, MariaDB's cannot be told to.
_LOST = (
    "was the session killed? storage that stalls longer than the server's net_write_timeout ends it"
    " too: SET GLOBAL net_write_timeout = 3600"
)
_HINTS = {
    "1356": "drop or repair the view that refers to missing objects",
    "Lost connection": _LOST,
    "2013": _LOST,
}


def check_member(member: str) -> Filter | None:
    """Return the check of a backup's member: that it ends with the dump program's end mark."""
    return end_check if member_names.is_dump(member) else None
