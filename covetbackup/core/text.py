"""Sizes, counts, durations and names as checks, pages and both command lines print them."""

from __future__ import annotations

from datetime import timedelta
from typing import TextIO


def printable_text(text: str) -> str:
    """Return `text` with what would steer a terminal escaped: names come from databases."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def encodable_text(text: str, stream: TextIO) -> str:
    """Return `printable_text` of `text` with what `stream` cannot encode escaped too."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return printable_text(text).encode(encoding, errors="backslashreplace").decode(encoding)


def size_text(size: int) -> str:
    """Return a size in bytes with its unit: "512 Bytes", "1.5 GiB"."""
    import humanize

    return humanize.naturalsize(size, binary=True)


def duration_text(seconds: float) -> str:
    """Return a length of time in whole seconds: "1 minute and 41 seconds"."""
    import humanize

    return humanize.precisedelta(timedelta(seconds=round(seconds)), format="%d")


def count_text(count: int, noun: str) -> str:
    """Return a count with its noun: "1 table", "2 tables"."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
