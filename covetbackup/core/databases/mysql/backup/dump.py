"""The dump program: its arguments for each part of a database, its messages, its own end mark."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from covetbackup.core.databases.mysql.archive import members as parts
from covetbackup.core.databases.mysql.replace import metadata_tables
from covetbackup.core.databases.mysql.server.clients import Clients
from covetbackup.core.databases.mysql.server.flavour import Version
from covetbackup.core.databases.mysql.server.optionfile import option_file
from covetbackup.core.databases.mysql.server.settings import ConnectionSettings
from covetbackup.core.errors import CovetError, Incomplete, ServerBusy, SourceFailed
from covetbackup.core.stream.base import Filter, Source
from covetbackup.core.stream.process import CommandSource
from covetbackup.core.stream.pump import filtered
from covetbackup.core.stream.reason import reason_lines
from covetbackup.core.stream.secret import Secret

END_MARK = b"-- Dump completed"
_LAST_LINES = 200  # bytes; the mark may be followed by a date

# Options of an administrator's own files are not read, so all that matters is said here.
_ALWAYS = (
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
"""Its first message after its transaction began and it has listed the tables."""


@dataclass(frozen=True, slots=True)
class DumpProgram:
    """How to run the dump program on one database. `encrypted` as for `option_file`."""

    settings: ConnectionSettings
    password: Secret | None
    clients: Clients
    server: Version
    encrypted: bool

    def start(self, options: Sequence[str], *, without: Sequence[str] = ()) -> CommandSource:
        """A dump of the whole database but for the tables and views `without`. Not entered yet.

        Tables are left out rather than named: for those it is given by name the program asks one
        by one, before its first message, and it would do so under the lock.
        """
        database = self.settings.database
        left_out = [
            ("ignore-table", f"{database}.{name}") for name in (*without, *metadata_tables.TABLES)
        ]
        return self._command([*options], [database], left_out)

    def named(self, options: Sequence[str], names: Sequence[str]) -> CommandSource:
        """A dump of the tables or views `names` alone."""
        return self._command([*options], [self.settings.database, *names], [])

    def _command(
        self, options: list[str], names: list[str], more: list[tuple[str, str]]
    ) -> CommandSource:
        file = option_file(
            self.settings,
            self.password,
            client=self.clients.version,
            encrypted=self.encrypted,
            more=more,
        )
        own = () if self.clients.version.is_mariadb else _NOT_IN_MARIADB
        return CommandSource(
            [self.clients.dump, file, *_ALWAYS, *own, *options, "--", *names],
            secrets=[] if self.password is None else [self.password],
            name="dump program",
        )


def not_told_apart(names: Iterable[str], others: Iterable[str]) -> set[str]:
    """Which of `others` the dump program takes for one of `names` when it is told to leave them
    out: it looks at neither case nor accents."""
    folded = {_folded(name) for name in names}
    return {other for other in others if _folded(other) in folded}


def _folded(name: str) -> str:
    parts = unicodedata.normalize("NFKD", name.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part)).rstrip()


@contextmanager
def whole(source: CommandSource, *looks: Filter) -> Iterator[Iterator[bytes]]:
    """`source` as a source that does not end without the program's end mark, seen by `looks`."""
    try:
        with filtered(source, [*looks, end_check]) as chunks:
            yield chunks
    except SourceFailed as error:
        raise explained(error, source.messages) from error


def one_after_another(parts: Sequence[Source]) -> Source:
    """All of `parts` as one stream."""

    @contextmanager
    def opened() -> Iterator[Iterator[bytes]]:
        yield _joined(parts)

    return opened()


def _joined(parts: Sequence[Source]) -> Iterator[bytes]:
    for part in parts:
        with part as chunks:
            yield from chunks


def end_check(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Passes a dump through and raises `Incomplete` if it does not end as one."""
    last = b""
    for chunk in chunks:
        last = (last + chunk[-_LAST_LINES:])[-_LAST_LINES:]
        yield chunk
    if not is_end(last):
        raise Incomplete("the dump lacks its last line: it was cut off", "take the backup again")


def is_end(last: bytes) -> bool:
    """Whether the last bytes of a dump are those of a whole one."""
    return last.rstrip().rpartition(b"\n")[2].startswith(END_MARK)


def explained(error: SourceFailed, messages: str) -> CovetError:
    """The dump program's failure without its chatter, and with what to do about it."""
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
    "was the session killed? storage that rests longer than the server's net_write_timeout ends it"
    " too: SET GLOBAL net_write_timeout = 3600"
)
_HINTS = {
    "1356": "drop or repair the view that refers to what is not there",
    "Lost connection": _LOST,
    "2013": _LOST,
}


def check_member(member: str) -> Filter | None:
    """The full check of a backup's member: that it ends as the dump program ends."""
    return end_check if parts.is_dump(member) else None
