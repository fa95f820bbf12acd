"""The encoding of the names in a table of contents."""

from __future__ import annotations

import re
from collections.abc import Iterable

from psycopg._encodings import pg2pyenc
from psycopg.errors import NotSupportedError

from covetbackup.core.databases.postgresql.archive.contents import Entry

_NAMED = re.compile(rb"'(\w+)'")


def codec_of(entries: Iterable[Entry]) -> str:
    """Return Python's name for the encoding of the texts of `entries`.

    Of a database without an encoding, the names are UTF-8 if all of them can be that, and else
    LATIN1: so are those of its inventory, see `connection`.
    """
    listed = list(entries)
    named = [_NAMED.search(entry.definition) for entry in listed if entry.kind == b"ENCODING"]
    name = named[0][1] if named and named[0] else b"UTF8"
    if name == b"SQL_ASCII":
        return "utf-8" if _are_utf8(listed) else "latin-1"
    try:
        return pg2pyenc(name)
    except NotSupportedError:  # MULE_INTERNAL, which nothing but the server reads
        return "latin-1"


def _are_utf8(entries: Iterable[Entry]) -> bool:
    try:
        for entry in entries:
            entry.schema.decode()
            entry.tag.decode()
    except UnicodeDecodeError:
        return False
    return True
