"""The two sample databases: how each is filled, addressed and looked at."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from psycopg import sql

from covetbackup.core.stream.secret import Secret
from tests.demo.digests import Digest, postgres_digests, sqlite_digests
from tests.demo.shop import tables
from tests.support.postgres_server import PostgresServer

_EXTRAS = (
    "CREATE INDEX orders_by_state ON orders (state)",
    "CREATE VIEW open_orders AS SELECT id, placed_at FROM orders WHERE state = 'new'",
)
_POSTGRES_EXTRAS = (
    "CREATE SEQUENCE invoice_numbers START 1000",
    "SELECT nextval('invoice_numbers') FROM generate_series(1, 77)",
    "SELECT lo_from_bytea(0, decode(repeat('c0ffee', 50000), 'hex'))",
)


class SampleDatabase(Protocol):
    """One kind of database in the demo. Names are those of databases on its server or disk."""

    kind: str
    password: Secret | None

    def fill(self, name: str) -> None: ...

    def address(self, name: str) -> str: ...

    def digests(self, name: str) -> dict[str, Digest]: ...


@dataclass(frozen=True, slots=True)
class SqliteShop:
    folder: Path
    kind: str = "SQLite"
    password: Secret | None = None

    def fill(self, name: str) -> None:
        with closing(sqlite3.connect(self._path(name), isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN")
            for table in tables():
                connection.execute(f'CREATE TABLE "{table.name}" ({table.definition})')
                marks = ", ".join("?" * len(table.columns))
                connection.executemany(f'INSERT INTO "{table.name}" VALUES ({marks})', table.rows)
            for statement in _EXTRAS:
                connection.execute(statement)
            connection.execute("COMMIT")

    def address(self, name: str) -> str:
        return f"sqlite:///{self._path(name)}"

    def digests(self, name: str) -> dict[str, Digest]:
        return sqlite_digests(self._path(name))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.sqlite"


@dataclass(frozen=True, slots=True)
class PostgresShop:
    server: PostgresServer
    kind: str = "PostgreSQL"

    @property
    def password(self) -> Secret:
        return self.server.password

    def fill(self, name: str) -> None:
        self.server.create_database(name)
        with self.server.connect(name) as connection, connection.transaction():
            for table in tables():
                label = sql.Identifier(table.name)
                definition = sql.SQL(table.definition)  # type: ignore[arg-type]
                connection.execute(sql.SQL("CREATE TABLE {} ({})").format(label, definition))
                statement = sql.SQL("COPY {} FROM STDIN").format(label)
                with connection.cursor().copy(statement) as copy:
                    for row in table.rows:
                        copy.write_row(row)
            for extra in (*_EXTRAS, *_POSTGRES_EXTRAS):
                connection.execute(extra)

    def address(self, name: str) -> str:
        return self.server.url(name)

    def digests(self, name: str) -> dict[str, Digest]:
        return postgres_digests(self.server, name)
