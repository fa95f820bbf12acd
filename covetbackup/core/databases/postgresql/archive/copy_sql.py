"""What the data of a table is read with: the counterpart of the statement it is loaded with."""

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
    """The table that `entry` is the data of. Not that of its COPY statement: the rows of some
    partitions are loaded through the root."""
    return b".".join(b'"' + word.replace(b'"', b'""') + b'"' for word in (entry.schema, entry.tag))


def columns(entry: Entry) -> bytes:
    """The dumped columns in parentheses, without the generated ones; empty for no columns.

    Raises `Unsupported` for a statement that is not understood.
    """
    return _understood(entry)[3] or b""


def column_names(entry: Entry) -> tuple[str, ...]:
    """The same as a person would write them."""
    found = _COLUMN.findall(columns(entry))
    return tuple(entry.text(unquoted(name)) for name in found)


def copy_into(entry: Entry, schemas_as: Mapping[bytes, bytes]) -> bytes:
    """The statement that loads the rows of `entry` where its table's schema has another name."""
    match = _understood(entry)
    schema = unquoted(match[1])
    if match[2] is None or schema not in schemas_as:
        return entry.copy_statement
    new = b'"' + schemas_as[schema].replace(b'"', b'""') + b'"'
    return b"COPY %s%s %s FROM stdin;\n" % (new, match[2], match[3] or b"")


def _understood(entry: Entry) -> re.Match[bytes]:
    match = _COPY.fullmatch(entry.copy_statement)
    if match is None:
        raise Unsupported(f"the COPY statement of {entry.name} is not understood")
    return match


def copy_out(entry: Entry, condition: bytes = b"") -> bytes:
    """The statement that reads the rows of `entry`; `condition` is a WHERE clause."""
    table, listed = quoted_name(entry), columns(entry)
    if not condition:
        return b"COPY %s %s TO STDOUT" % (table, listed)
    # ONLY is what a plain COPY of a table means, too.
    chosen = listed[1:-1] or b""
    return b"COPY (SELECT %s FROM ONLY %s %s) TO STDOUT" % (chosen, table, condition)


def pages(first: int, end: int | None) -> bytes:
    """A condition for the rows in the pages from `first` up to but not including `end`."""
    upper = b"" if end is None else b" AND ctid < '(%d,0)'" % end
    return b"WHERE ctid >= '(%d,0)'" % first + upper
