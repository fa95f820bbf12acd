"""Retained databases, which restores replaced: their names, and the sessions that use them.

How one database replaces another is in the folder of each kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

_MARK = re.compile(r"_replaced_\d{8}_\d{6}(_\d+)?$")


@dataclass(frozen=True, slots=True)
class Session:
    """A session that uses a database. Fields are "" or None where they cannot be seen."""

    user: str
    application: str
    client: str
    state: str
    since: datetime | None


def is_retained(name: str) -> bool:
    """Return whether `name`, of a database or a file, is one that `retained_name` returns."""
    return bool(_MARK.search(name) or _MARK.search(name.rpartition(".")[0]))


def retained_name(
    name: str, now: datetime, *, limit: int, is_taken: Callable[[str], bool], ending: str = ""
) -> str:
    """Return the name for the database `name` once another has replaced it: `orders_replaced_…`.

    At most `limit` bytes of UTF-8, truncated in `name` and never in the moment; free by `is_taken`.
    `ending` comes last: a file's suffix.
    """
    stem = _MARK.sub("", name)
    number = 1
    while True:
        again = f"_{number}" if number > 1 else ""
        mark = f"_replaced_{now.astimezone(UTC):%Y%m%d_%H%M%S}{again}{ending}"
        room = limit - len(mark.encode())
        found = stem.encode(errors="surrogateescape")[:room].decode(errors="ignore") + mark
        if not is_taken(found):
            return found
        number += 1
