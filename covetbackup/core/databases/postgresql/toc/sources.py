"""What the data of a table is read with: the counterpart of the statement it is loaded with."""

from __future__ import annotations

import re

from covetbackup.core.databases.postgresql.toc.reading import Unsupported
from covetbackup.core.databases.postgresql.toc.values import Entry

_NAME = rb'(?:"(?:[^"]|"")*"|[^\s".(])+'
_COPY = re.compile(
    rb"COPY " + _NAME + rb"(?:\." + _NAME + rb")? (\(.*\))? ?FROM stdin;\n", re.DOTALL
)


def quoted_name(entry: Entry) -> bytes:
    """The table that `entry` is the data of. Not that of its COPY statement: the rows of some
    partitions are loaded through the root."""
    return b".".join(b'"' + word.replace(b'"', b'""') + b'"' for word in (entry.schema, entry.tag))


def columns(entry: Entry) -> bytes:
    """The dumped columns in parentheses, without the generated ones; empty for no columns.

    Raises `Unsupported` for a statement that is not understood.
    """
    match = _COPY.fullmatch(entry.copy_statement)
    if match is None:
        raise Unsupported(f"the COPY statement of {entry.name} is not understood")
    return match[1] or b""


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
