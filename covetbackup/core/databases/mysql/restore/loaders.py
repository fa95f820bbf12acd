"""Sinks of a restore: the stock client, fed with a dump, and scripts that are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from covetbackup.core.databases.mysql.archive.spool import Script, Spool
from covetbackup.core.databases.mysql.backup.dump import is_end
from covetbackup.core.databases.mysql.server.clients import MysqlClients
from covetbackup.core.databases.mysql.server.optionfile import option_file
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.errors import Incomplete, SinkFailed, TooLarge
from covetbackup.core.stream.process import CommandSink
from covetbackup.core.stream.secret import Secret

_MOST_BYTES = 64 << 20
_FED_BYTES = 1 << 20
_LAST_BYTES = 200

_ARGUMENTS = (
    "--batch",
    # Turns off all commands of the client itself, such as \\! and source: a script from a backup is
    # SQL, not a program to run here. So the "sandbox" line needs no client that knows it.
    "--binary-mode",
    # MariaDB's client cuts them out of routines, and breaks a trigger at the first /* */ in it.
    "--comments",
    "--local-infile=0",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
)
# Else it prints the statement, with up to 1 KiB of rows. Clients that print none do not know it.
_IN_MARIADB = ("--loose-skip-print-query-on-error",)


@dataclass(frozen=True, slots=True)
class ClientProgram:
    """The client program and how to run it.

    `idle` may raise `Cancelled`; `session` are the first statements that it sends.
    """

    settings: MysqlSettings
    password: Secret | None
    clients: MysqlClients
    encrypted: bool
    session: str
    idle: Callable[[], None]

    def start(self, database: str) -> CommandSink:
        file = option_file(
            self.settings, self.password, client=self.clients.version, encrypted=self.encrypted
        )
        own = _IN_MARIADB if self.clients.version.is_mariadb else ()
        return CommandSink(
            [
                self.clients.client,
                file,
                *_ARGUMENTS,
                *own,
                f"--init-command={self.session}",
                f"--database={database}",
            ],
            secrets=[] if self.password is None else [self.password],
            name="database client",
            idle=self.idle,
        )

    def run(self, script: Script, database: str) -> None:
        """Run a whole script. Raises `SinkFailed`."""
        sink = self.start(database)
        try:
            for at in range(0, len(script), _FED_BYTES):
                sink.write(script[at : at + _FED_BYTES])
            sink.commit()
        except SinkFailed as error:
            raise explained(error) from error
        finally:
            sink.abort()


class RowsSink:
    """A sink that feeds a running client and explains its errors.

    Its user knows where the end is.
    """

    def __init__(self, running: CommandSink) -> None:
        self._running = running

    def write(self, chunk: bytes) -> None:
        try:
            self._running.write(chunk)
        except SinkFailed as error:
            raise explained(error) from error

    def commit(self) -> None:
        try:
            self._running.commit()
        except SinkFailed as error:
            raise explained(error) from error

    def abort(self) -> None:
        self._running.abort()


def range_sink(running: CommandSink, beginning: bytes) -> RowsSink:
    """Return a sink for rows of some tables, a range of a dump that has no end mark.

    `beginning` is sent before any range.
    """
    sink = RowsSink(running)
    try:
        sink.write(beginning)
    except BaseException:
        running.abort()  # nobody has this sink yet
        raise
    return sink


class DumpSink:
    """A sink that feeds a dump to a running client.

    The client ends with status 0 for a truncated dump: so its last line is checked before the
    commit.
    """

    def __init__(self, running: CommandSink) -> None:
        self._rows = RowsSink(running)
        self._last = b""

    def write(self, chunk: bytes) -> None:
        self._rows.write(chunk)
        self._last = (self._last + chunk[-_LAST_BYTES:])[-_LAST_BYTES:]

    def commit(self) -> None:
        refuse_cut(self._last)
        self._rows.commit()

    def abort(self) -> None:
        self._rows.abort()


class BytesSink:
    """Collects a few bytes and hands them to `take` at the commit."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._content = bytearray()

    def write(self, chunk: bytes) -> None:
        self._content += chunk
        if len(self._content) > _MOST_BYTES:
            raise TooLarge(f"more than {_MOST_BYTES} bytes")

    def commit(self) -> None:
        self._take(bytes(self._content))

    def abort(self) -> None:
        self._content.clear()


class ScriptSink:
    """Collects a whole dump, of any length, and hands it to `run` at the commit."""

    def __init__(self, run: Callable[[Script], None]) -> None:
        self._run = run
        self._spool = Spool()

    def write(self, chunk: bytes) -> None:
        self._spool.write(chunk)

    def commit(self) -> None:
        script = self._spool.script()
        self._spool.close()
        refuse_cut(script[-_LAST_BYTES:])
        self._run(script)

    def abort(self) -> None:
        self._spool.close()


def refuse_cut(last: bytes) -> None:
    """Raise `Incomplete` unless `last` is the last line of a whole dump."""
    if not is_end(last):
        raise Incomplete("the dump lacks its last line: it was cut off", "verify the backup")


def explained(error: SinkFailed) -> SinkFailed:
    """Return `error` with a hint for what the client reported."""
    hint = next((hint for sign, hint in _HINTS.items() if sign in error.message), error.hint)
    return SinkFailed(error.message, hint)


_HINTS = {
    "ERROR 1227": "restore with owner none, or as an account that may set other definers",
    "ERROR 1419": "set log_bin_trust_function_creators, or restore as an administrator",
    "ERROR 1418": "set log_bin_trust_function_creators on the server",
    "ERROR 3819": "was the row written under another time zone? restore the definitions alone, set"
    " the constraint NOT ENFORCED, then restore the rows alone",
    "ERROR 1434": "a FEDERATED table is created only while the server it reads can be reached",
    "ERROR 1153": "raise max_allowed_packet on the server",
    "ERROR 2006": "raise max_allowed_packet on the server?",
    "ERROR 3185": "set up a keyring on this server, as the original has one",
    "ERROR 1273": "does this server know the collations of the original?",
}
