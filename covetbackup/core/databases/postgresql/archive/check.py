"""Checks of a custom-format archive: a cheap one of its table of contents, and a full reading."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from covetbackup.core.databases.postgresql.server.clients import find_clients
from covetbackup.core.errors import Incomplete, SinkFailed, ToolMissing
from covetbackup.core.stream.base import Filter
from covetbackup.core.stream.process import CommandSink

ARCHIVE_SUFFIX = ".pgc"
MAGIC = b"PGDMP"
# The table of contents comes first, and its size is not recorded: the listing is tried with what
# has arrived, at growing sizes. 64 MiB are about 300 000 objects.
_LISTING_SIZES = (256 << 10, 4 << 20, 64 << 20)
_LISTING_BYTES = 128 << 20
_ENTRY = re.compile(rb"^\d+; \d+ (\d+) (TABLE DATA|SEQUENCE SET) ", re.MULTILINE)


def check_member(member: str, *, directories: Sequence[Path] = ()) -> Filter | None:
    """Return the full check of a backup's `member`, None if it is no archive.

    The newest pg_restore installed is used, which reads every older archive; no server is needed.
    Raises `ToolMissing`.
    """
    if not member.endswith(ARCHIVE_SUFFIX):
        return None
    found = find_clients(directories)
    if not found:
        raise ToolMissing(
            "no pg_restore is installed", "install postgresql-client (the name in Debian)"
        )
    newest = max(found, key=lambda clients: clients.major)
    return whole_archive_check(newest.path("pg_restore"))


def whole_archive_check(pg_restore: str) -> Filter:
    """Return a filter that raises `Incomplete` unless pg_restore can read all of an archive.

    `pg_restore -l` reads only the beginning and calls a cut archive fine; converting all of it
    to SQL for /dev/null does not.
    """

    def check(chunks: Iterator[bytes]) -> Iterator[bytes]:
        reader = CommandSink([pg_restore, "--file=/dev/null"], name="pg_restore")
        try:
            for chunk in chunks:
                reader.write(chunk)
                yield chunk
            reader.commit()
        except SinkFailed as error:
            raise Incomplete(f"the dump cannot be read to its end: {error.message}") from error
        finally:
            reader.abort()

    return check


def listing_check(pg_restore: str, *, found: Callable[[dict[str, frozenset[int]]], None]) -> Filter:
    """Return a filter that raises `Incomplete` unless an archive's contents can be listed.

    `found` gets the oids of the "TABLE DATA" and "SEQUENCE SET" entries. It is not called, and
    nothing is raised, when the table of contents alone is beyond 64 MiB.
    """

    def check(chunks: Iterator[bytes]) -> Iterator[bytes]:
        beginning = bytearray()
        sizes = list(_LISTING_SIZES)
        for chunk in chunks:
            if sizes:
                beginning += chunk
                if len(beginning) >= sizes[0]:
                    sizes.pop(0)
                    listing = _listing(pg_restore, bytes(beginning))
                    if listing is not None:
                        found(_entries(listing))
                        sizes = []
                    if not sizes:
                        beginning.clear()
            yield chunk
        if sizes:
            listing = _listing(pg_restore, bytes(beginning))
            if listing is None:
                raise Incomplete("pg_dump ended well, but what it wrote is no readable archive")
            found(_entries(listing))

    return check


def _listing(pg_restore: str, beginning: bytes) -> bytes | None:
    if not beginning.startswith(MAGIC):
        return None
    reader = CommandSink([pg_restore, "--list"], name="pg_restore", output_bytes=_LISTING_BYTES)
    try:
        try:
            reader.write(beginning)
        except SinkFailed:
            pass  # it stops reading at the end of the list; its status tells whether it failed
        reader.commit()
    except SinkFailed:
        return None
    finally:
        reader.abort()
    return reader.output


def _entries(listing: bytes) -> dict[str, frozenset[int]]:
    oids: dict[str, set[int]] = {"TABLE DATA": set(), "SEQUENCE SET": set()}
    for oid, kind in _ENTRY.findall(listing):
        oids[kind.decode()].add(int(oid))
    return {kind: frozenset(numbers) for kind, numbers in oids.items()}
