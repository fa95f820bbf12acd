"""COPY statements that read the data of an entry, derived from the one that loads it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from covetbackup.core.databases.postgresql.archive.contents import Entry
from covetbackup.core.databases.postgresql.archive.reader import Unsupported
from covetbackup.core.databases.postgresql.archive.server_requirements import unquoted

_NAME = rb'(?:"(?:[^"]|"")*"|[^\s".(])+'
_COPY = re.compile(
    rb"COPY (" + _NAME + rb")(\." + _NAME + rb")? (\(.*\))? ?FROM stdin;\n", re.DOTALL
)
_COLUMN = re.compile(rb'"(?:[^"]|"")*"|[^\s"(),]+')


def quoted_name(entry: Entry) -> bytes:
    """Return the quoted name of the table whose rows `entry` has.

    It is not always that of its COPY statement: some partitions are loaded through their root.
    """
    return b".".join(b'"' + word.replace(b'"', b'""') + b'"' for word in (entry.schema, entry.tag))


def columns(entry: Entry) -> bytes:
    """Return the dumped columns in parentheses, without generated ones; b"" for no columns.

    Raises `Unsupported` for a COPY statement that cannot be parsed.
    """
    return _parsed(entry)[3] or b""


def column_names(entry: Entry) -> tuple[str, ...]:
    """Return the names of the dumped columns, not quoted. Raises as `columns` does."""
    found = _COLUMN.findall(columns(entry))
    return tuple(entry.text(unquoted(name)) for name in found)


def copy_from_stdin(entry: Entry, schemas_as: Mapping[bytes, bytes]) -> bytes:
    """Return the COPY statement that loads the rows of `entry` where schemas are renamed.

    `schemas_as` has the new names by the old ones. Raises as `columns` does.
    """
    match = _parsed(entry)
    schema = unquoted(match[1])
    if match[2] is None or schema not in schemas_as:
        return entry.copy_statement
    new = b'"' + schemas_as[schema].replace(b'"', b'""') + b'"'
    return b"COPY %s%s %s FROM stdin;\n" % (new, match[2], match[3] or b"")


def _parsed(entry: Entry) -> re.Match[bytes]:
    match = _COPY.fullmatch(entry.copy_statement)
    if match is None:
        raise Unsupported(f"the COPY statement of {entry.name} cannot be parsed")
    return match


def copy_to_stdout(entry: Entry, condition: bytes = b"") -> bytes:
    """Return the COPY statement that reads the rows of `entry`; `condition` is a WHERE clause."""
    table, listed = quoted_name(entry), columns(entry)
    if not condition:
        return b"COPY %s %s TO STDOUT" % (table, listed)
    # ONLY is what a plain COPY of a table means, too.
    return b"COPY (SELECT %s FROM ONLY %s %s) TO STDOUT" % (listed[1:-1], table, condition)


def ctid_range(first: int, end: int | None) -> bytes:
    """Return the WHERE clause for the rows on the pages from `first` to before `end`."""
    upper = b"" if end is None else b" AND ctid < '(%d,0)'" % end
    return b"WHERE ctid >= '(%d,0)'" % first + upper
