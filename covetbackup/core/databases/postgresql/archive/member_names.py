"""Names of the members that are the parts of an archive: joined in their order they are it."""

from __future__ import annotations

import re

DUMP = "dump.pgc"
HEAD = f"{DUMP}.0000"
"""The part with the table of contents, stored last, since it says where the data is."""

MOST_PARTS = 9999
_PART = re.compile(re.escape(DUMP) + r"\.\d{4}")


def part_name(number: int) -> str:
    """Return the name of the part of data with this `number`, from 1 to `MOST_PARTS`."""
    return f"{DUMP}.{number:04d}"


def is_part(member: str) -> bool:
    """Return whether `member` is a part of an archive, `HEAD` included."""
    return _PART.fullmatch(member) is not None
