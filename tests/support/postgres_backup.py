"""Backups of a test server held in memory, and restores from them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from psycopg import sql

from covetbackup.core.databases.base import (
    BackupOptions,
    BackupSummary,
    Member,
    MemberRange,
    RestoreSession,
)
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.engine import PostgresEngine
from covetbackup.core.operations.parallel import run_parallel
from covetbackup.core.progress import Progress, Silent
from covetbackup.core.stream.meter import count_progress
from covetbackup.core.stream.pump import pump
from tests.support.postgres import PostgresRole, PostgresServer
from tests.support.restore_requests import request_for
from tests.support.streams import MemorySink, source_of

_RICH = Path(__file__).with_name("postgres_rich.sql")


@dataclass(frozen=True, slots=True)
class Taken:
    """A finished backup: the plain bytes of its members and what the session knew."""

    members: dict[str, bytes]
    outcome: BackupSummary

    @property
    def archive(self) -> bytes:
        """The whole dump, as whoever joins its parts has it."""
        names = sorted(name for name in self.members if name.startswith("dump.pgc"))
        return b"".join(self.members[name] for name in names)

    @property
    def inventory(self) -> Inventory:
        return self.outcome.inventory

    @property
    def rows(self) -> dict[str, int | None]:
        return {table.label: table.rows for table in self.inventory.tables if table.exact}


@dataclass(slots=True)
class Notes:
    """A `Progress` that keeps what was noted."""

    lines: list[str] = field(default_factory=list)

    def phase(self, name: str, total: int | None = None) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def note(self, text: str) -> None:
        self.lines.append(text)


def engine_for(
    server: PostgresServer, database: str = "postgres", role: PostgresRole | None = None
) -> PostgresEngine:
    if role is None:
        return PostgresEngine(server.settings(database), server.password)
    return PostgresEngine(server.settings(database, role.name), role.password)


def take(
    engine: PostgresEngine,
    progress: Progress | None = None,
    *,
    method: str = "",
    streams: int = 3,
) -> Taken:
    members: dict[str, bytes] = {}

    def store(member: Member, told: Progress) -> None:
        sink = MemorySink()
        pump(member.source, [count_progress(told)], sink)
        assert sink.committed is not None
        members[member.name] = sink.committed

    progress = progress or Silent()
    with engine.backup(BackupOptions(method, streams), progress) as session:
        for group in session.groups():
            tasks = [partial(store, member) for member in group]
            run_parallel(tasks, limit=streams, progress=progress)
        return Taken(members, session.finish())


def put_back(
    engine: PostgresEngine,
    taken: Taken,
    target: str,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
    **extra: object,
) -> Inventory:
    """Restore to the address `target`; what the scratch database held before its commit."""
    options = request_for(target, jobs=jobs, **extra)
    with engine.restore(options, taken.inventory, progress or Silent()) as session:
        fill(session, taken.members, jobs=jobs, progress=progress or Silent())
        inventory = session.inventory()
        session.commit()
    return inventory


def fill(
    session: RestoreSession,
    members: Mapping[str, bytes],
    *,
    jobs: int = 1,
    progress: Progress | None = None,
) -> None:
    def write(piece: MemberRange, told: Progress) -> None:
        source = source_of(_pieces(content_of(members, piece)))
        pump(source, [count_progress(told)], session.sink(piece, told))

    for group in session.groups({name: len(content) for name, content in members.items()}):
        tasks = [partial(write, piece) for piece in group]
        run_parallel(tasks, limit=jobs, progress=progress or Silent())


def content_of(members: Mapping[str, bytes], piece: MemberRange) -> bytes:
    end = None if piece.length is None else piece.offset + piece.length
    return members[piece.member][piece.offset : end]


def _pieces(content: bytes) -> Iterable[bytes]:
    return (content[start : start + 65536] for start in range(0, len(content), 65536))


def fill_richly(server: PostgresServer, database: str) -> None:
    """One of everything that a dump has to carry."""
    subprocess.run(
        [server.binaries / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", _RICH],
        env={
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "PGUSER": "postgres",
            "PGPASSWORD": server.password.reveal(),
            "PGDATABASE": database,
            "PGCLIENTENCODING": "UTF8",
        },
        check=True,
        stdout=subprocess.DEVNULL,
    )


def contents(server: PostgresServer, database: str) -> dict[str, str]:
    """A digest of the rows of each table, and of the large objects."""
    digests = {}
    with server.connect(database) as connection:
        tables = connection.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE (relkind IN ('p', 'm') AND relispopulated"
            " OR relkind = 'r' AND NOT relispartition)"
            " AND nspname !~ '^pg_' AND nspname <> 'information_schema'"
        ).fetchall()
        for schema, name in tables:
            query = sql.SQL(
                "SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {} t"
            )
            digests[f"{schema}.{name}"] = _one(
                connection.execute(query.format(sql.Identifier(schema, name))).fetchone()
            )
        digests["large objects"] = _one(
            connection.execute(
                "SELECT string_agg(oid || ':' || md5(lo_get(oid)), ',' ORDER BY oid)"
                " FROM pg_largeobject_metadata"
            ).fetchone()
        )
    return digests


def _one(row: tuple[str, ...] | None) -> str:
    assert row is not None
    return row[0]


def schema_of(server: PostgresServer, database: str) -> str:
    """What `pg_dump --schema-only` says, without the random words in it."""
    dump = server.tool("pg_dump", "--schema-only", f"--dbname={database}")
    lines = dump.splitlines()
    return "\n".join(line for line in lines if not line.startswith(("\\restrict", "\\unrestrict")))
