"""Rows read so that every value is restored bit for bit, and written as INSERT values.

The server shows a FLOAT with 6 digits, and the dump programs write what it shows: 16777216 becomes
16777200. As a double it is shown with as many digits as it takes, and -0 is kept as a literal of
type double, since -0 alone is an integer. Everything else, a DOUBLE column too, is written as the
dump programs do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from covetbackup.core.databases.mysql.server.connection import Connection, quoted
from covetbackup.core.errors import Incomplete

_REALS = ("float", "double")
_NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year")
_TIMES = ("date", "time", "datetime", "timestamp")

_ESCAPES = {
    b"\0": b"\\0",
    b"\n": b"\\n",
    b"\r": b"\\r",
    b"\\": b"\\\\",
    b"'": b"\\'",
    b'"': b'\\"',
    b"\x1a": b"\\Z",
}
_SPECIAL = re.compile(rb"[\0\n\r\\'\"\x1a]")

_COLUMNS = """
SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, coalesce(GENERATION_EXPRESSION, '')
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s ORDER BY TABLE_NAME, ORDINAL_POSITION
"""
_PERIOD = ("ROW START", "ROW END")


@dataclass(frozen=True, slots=True)
class Query:
    """A SELECT of the rows of one table.

    Its first result column holds the literals of the `inline` columns; the raw values of the
    `separate` columns follow, one by one.
    """

    table: str
    inline: tuple[str, ...]
    separate: tuple[str, ...]
    statement: str
    with_history: bool

    @property
    def insert(self) -> bytes:
        """The head of an INSERT statement for the rows."""
        names = ", ".join(quoted(name) for name in (*self.inline, *self.separate))
        return f"INSERT INTO {quoted(self.table)} ({names}) VALUES\n".encode()


def tables_with_floats(connection: Connection, database: str) -> set[str]:
    """Return the tables with columns of type FLOAT."""
    query = (
        "SELECT DISTINCT TABLE_NAME FROM information_schema.COLUMNS"
        " WHERE TABLE_SCHEMA = %s AND DATA_TYPE = 'float'"
    )
    return set(connection.strings(query, [database]))


def queries_of(connection: Connection, database: str, history: Collection[str]) -> dict[str, Query]:
    """Return the query of each table; for those in `history` it includes old rows and periods."""
    columns: dict[str, list[tuple[str, str]]] = {}
    for table, name, kind, expression in connection.rows(_COLUMNS, [database]):
        found = columns.setdefault(table, [])
        if not expression or (table in history and expression in _PERIOD):
            found.append((name, kind))
    for table in history:
        shown = connection.rows(_HAS_PERIOD, [database, table])
        if not shown:
            columns[table] += [("row_start", "timestamp"), ("row_end", "timestamp")]
    return {
        table: _query(database, table, found, with_history=table in history)
        for table, found in columns.items()
    }


_HAS_PERIOD = """
SELECT 1 FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND GENERATION_EXPRESSION = 'ROW START'
"""


def _query(
    database: str, table: str, columns: Sequence[tuple[str, str]], *, with_history: bool
) -> Query:
    texts = {name: text for name, kind in columns if (text := _text(quoted(name), kind))}
    separate = tuple(name for name, _ in columns if name not in texts)
    inline = ", ',', ".join(f"ifnull({text}, 'NULL')" for text in texts.values())
    selected = ", ".join([f"concat({inline or chr(39) * 2})", *map(quoted, separate)])
    place = f"{quoted(database)}.{quoted(table)}"
    period = " FOR SYSTEM_TIME ALL" if with_history else ""
    statement = f"SELECT {selected} FROM {place}{period}"
    return Query(table, tuple(texts), separate, statement, with_history)


def _text(column: str, kind: str) -> str:
    """Return the expression of a literal rendered by the server, "" where the client does it."""
    if kind in _REALS:
        # A DOUBLE as it is: MySQL cuts what a calculation gives to 22 characters.
        shown = f"{column} * 1e0" if kind == "float" else column
        return f"if({column} = 0 AND left({column}, 1) = '-', '-0e0', {shown})"
    if kind in _NUMBERS:
        return column
    return f"concat('''', {column}, '''')" if kind in _TIMES else ""


Renderer = Callable[[Sequence[bytes | None]], bytes]


def renderer(query: Query, are_bytes: Sequence[bool]) -> Renderer:
    """Return a function that renders a row as values of an INSERT.

    `are_bytes` says which columns of the result are binary.
    """
    writers = [_hexadecimal if is_bytes else _literal for is_bytes in are_bytes[1:]]

    def render(row: Sequence[bytes | None]) -> bytes:
        values = [write(value) for write, value in zip(writers, row[1:], strict=True)]
        if query.inline:
            if row[0] is None:
                raise Incomplete(
                    f"a row of {query.table} does not fit into the server's max_allowed_packet",
                    "raise max_allowed_packet on the server",
                )
            values.insert(0, row[0])
        return b"(" + b",".join(values) + b")"

    return render


def _literal(value: bytes | None) -> bytes:
    if value is None:
        return b"NULL"
    if _SPECIAL.search(value):
        value = _SPECIAL.sub(lambda found: _ESCAPES[found[0]], value)
    return b"'" + value + b"'"


def _hexadecimal(value: bytes | None) -> bytes:
    if value is None:
        return b"NULL"
    return b"0x" + value.hex().encode() if value else b"''"
