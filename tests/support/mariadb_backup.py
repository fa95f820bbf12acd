"""Backups of a test server held in memory, and restores from them."""

from __future__ import annotations

import hashlib
import secrets
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from covetbackup.core.databases.base import (
    BackupOptions,
    BackupSummary,
    Member,
    MemberRange,
    RestoreSession,
)
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.engine import MysqlEngine
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.databases.selection import Selection
from covetbackup.core.operations.parallel import run_parallel
from covetbackup.core.progress import Progress, Silent
from covetbackup.core.stream.meter import count_progress
from covetbackup.core.stream.pump import pump
from tests.support.mariadb import MysqlServer, MysqlUser, quoted
from tests.support.restore_requests import request_for
from tests.support.streams import MemorySink, source_of

_SCRIPTS = {"mariadb": "mariadb_rich.sql", "mysql": "mysql_rich.sql"}


@dataclass(frozen=True, slots=True)
class Taken:
    """A finished backup: the plain bytes of its members and what the session knew."""

    members: dict[str, bytes]
    outcome: BackupSummary

    @property
    def inventory(self) -> Inventory:
        return self.outcome.inventory

    @property
    def rows(self) -> dict[str, int | None]:
        return {table.label: table.rows for table in self.inventory.tables if table.exact}


def settings_for(
    server: MysqlServer, database: str, user: MysqlUser | None = None
) -> MysqlSettings:
    name = "root" if user is None else user.name
    return MysqlSettings(host="127.0.0.1", port=server.port, user=name, database=database)


def engine_for(server: MysqlServer, database: str, user: MysqlUser | None = None) -> MysqlEngine:
    password = server.password if user is None else user.password
    return MysqlEngine(settings_for(server, database, user), password)


def take(engine: MysqlEngine, *, streams: int = 2, progress: Progress | None = None) -> Taken:
    members: dict[str, bytes] = {}
    progress = progress or Silent()
    with engine.backup(BackupOptions("", streams), progress) as session:
        for group in session.groups():
            tasks = [partial(_read, member) for member in group]
            contents = run_parallel(tasks, limit=streams, progress=progress)
            members |= zip((member.name for member in group), contents, strict=True)
        return Taken(members, session.finish())


def _read(member: Member, progress: Progress) -> bytes:
    sink = MemorySink()
    pump(member.source, [count_progress(progress)], sink)
    assert sink.committed is not None
    return sink.committed


def put_back(
    engine: MysqlEngine,
    taken: Taken,
    target: str,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
    selection: Selection | None = None,
    **extra: object,
) -> Inventory:
    """Restore to the address `target`; what the scratch database held before its commit."""
    progress = progress or Silent()
    options = request_for(target, selection=selection, jobs=jobs, **extra)
    with engine.restore(options, taken.inventory, progress) as session:
        fill(session, taken, jobs=jobs, progress=progress)
        inventory = session.inventory()
        session.commit()
    return inventory


def fill(
    session: RestoreSession, taken: Taken, *, jobs: int = 1, progress: Progress | None = None
) -> None:
    """Write everything the session wants of `taken`."""
    sizes = {name: len(content) for name, content in taken.members.items()}
    for group in session.groups(sizes):
        tasks = [partial(_write, session, piece, _content(taken, piece)) for piece in group]
        run_parallel(tasks, limit=jobs, progress=progress or Silent())


def _content(taken: Taken, piece: MemberRange) -> bytes:
    content = taken.members[piece.member]
    end = len(content) if piece.length is None else piece.offset + piece.length
    return content[piece.offset : end]


def _write(session: RestoreSession, piece: MemberRange, content: bytes, progress: Progress) -> None:
    pieces = (content[start : start + 65536] for start in range(0, len(content), 65536))
    pump(source_of(pieces), [count_progress(progress)], session.sink(piece, progress))


def fill_richly(server: MysqlServer, database: str, program: Path = Path("mariadb")) -> None:
    """One of everything that a dump has to carry; `program` is the stock client."""
    script = Path(__file__).with_name(_SCRIPTS[program.name]).read_bytes()
    client(server, database, script, program)


def client(
    server: MysqlServer, database: str, script: bytes, program: Path = Path("mariadb")
) -> bytes:
    """What the stock client prints when it runs `script` as root."""
    finished = subprocess.run(
        [
            program,
            "--protocol=TCP",
            "--host=127.0.0.1",
            f"--port={server.port}",
            "--user=root",
            "--default-character-set=utf8mb4",
            f"--database={database}",
        ],
        env={"PATH": "/usr/bin:/bin", "MYSQL_PWD": server.password.reveal()},
        input=script,
        capture_output=True,
    )
    assert finished.returncode == 0, finished.stderr.decode()
    return finished.stdout


def contents(server: MysqlServer, database: str) -> dict[str, str]:
    """A digest of the rows of each table and view, history included."""
    digests = {}
    listing = "SHOW FULL TABLES"
    with server.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute(listing)
        found = list(cursor.fetchall())
        # Bytes as they are: the driver takes a vector for ASCII.
        connection.use_unicode, connection.decoders = False, {}
        for name, kind in found:
            history = " FOR SYSTEM_TIME ALL" if kind == "SYSTEM VERSIONED" else ""
            cursor.execute(f"SELECT * FROM {quoted(name)}{history}")
            rows = sorted(map(repr, cursor.fetchall()))
            digests[name] = hashlib.sha256("".join(rows).encode()).hexdigest()
    return digests


def definitions(server: MysqlServer, database: str) -> dict[str, str]:
    """SHOW CREATE of everything, without what names the database or counts."""
    shown = {}
    with server.connect(database) as connection, connection.cursor() as cursor:
        for kind, query in _NAMES.items():
            cursor.execute(query)
            for (name,) in list(cursor.fetchall()):
                cursor.execute(f"SHOW CREATE {kind} {quoted(name)}")
                row = cursor.fetchone()
                columns = [column[0] for column in cursor.description]
                shown[f"{kind} {name}"] = repr(
                    [
                        str(value).replace(f"`{database}`.", "")
                        for column, value in zip(columns, row, strict=True)
                        if column not in ("Created", "Database Collation")
                    ]
                )
    return shown


_NAMES = {
    "TABLE": "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = database()"
    " AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE')",
    "VIEW": "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = database()",
    "TRIGGER": "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS"
    " WHERE TRIGGER_SCHEMA = database()",
    "PROCEDURE": "SELECT ROUTINE_NAME FROM information_schema.ROUTINES"
    " WHERE ROUTINE_SCHEMA = database() AND ROUTINE_TYPE = 'PROCEDURE'",
    "FUNCTION": "SELECT ROUTINE_NAME FROM information_schema.ROUTINES"
    " WHERE ROUTINE_SCHEMA = database() AND ROUTINE_TYPE = 'FUNCTION'",
    "PACKAGE": "SELECT ROUTINE_NAME FROM information_schema.ROUTINES"
    " WHERE ROUTINE_SCHEMA = database() AND ROUTINE_TYPE = 'PACKAGE'",
    "EVENT": "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = database()",
}


def fresh_name() -> str:
    return f"copy_{secrets.token_hex(4)}"


FLOATS = (
    "CREATE TABLE floats (id int PRIMARY KEY, f float, u float unsigned, short float(10, 3),"
    " d double, n decimal(20, 5) zerofill, y year, at timestamp NULL, b bit(3), t text, v blob)",
    "INSERT INTO floats VALUES (1, 16777216, 123456.789, 1234567.891, 0.1, 1.5, 2026,"
    " '2026-03-29 02:30:00', b'101', 'it''s; \\\\ \\n', x'00ff'),"
    " (2, 1.17549435e-38, 3.4e38, 0.001, 1e308, 0, 0, NULL, b'0', '', ''),"
    " (3, -0e0, NULL, -0e0, -0e0, NULL, NULL, NULL, NULL, NULL, NULL)",
    # Doubles of more than 22 characters.
    "INSERT INTO floats (id, d) VALUES (4, -1.7976931348623157e308), (5, 2.2250738585072014e-308),"
    " (6, -1.2345678901234567e-150)",
    "CREATE TABLE computed (f float, tripled float AS (f * 3) STORED, third float AS (f / 3)"
    " VIRTUAL, hidden float DEFAULT 0.1 INVISIBLE)",
    "INSERT INTO computed (f, hidden) VALUES (16777216, 123456.789), (NULL, 8388609)",
    "CREATE TABLE keyed (f float PRIMARY KEY, n int) PARTITION BY KEY (f) PARTITIONS 3",
    "INSERT INTO keyed VALUES (16777216, 1), (16777215, 2), (16777214, 3)",
    "CREATE TABLE empty_floats (f float)",
)


def fill_with_floats(server: MysqlServer, database: str) -> None:
    """FLOAT columns whose values have more than 6 digits, in every place that there is."""
    server.execute(database, "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'", *FLOATS)


def checksums(server: MysqlServer, database: str) -> dict[str, int | None]:
    """What CHECKSUM TABLE says of each table."""
    tables = server.rows(database, "SHOW FULL TABLES WHERE Table_type LIKE '%BASE%'")
    return {
        str(name): server.rows(database, f"CHECKSUM TABLE {quoted(name)}")[0][1]
        for name, _ in tables
    }
