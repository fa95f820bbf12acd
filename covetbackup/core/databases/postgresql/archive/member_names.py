"""What the parts of an archive are called: joined in the order of their names they are it."""

from __future__ import annotations

import re

DUMP = "dump.pgc"
HEAD = f"{DUMP}.0000"
"""The part with the table of contents, stored last, since it says where the data lies."""

MOST_PARTS = 9999
_PART = re.compile(re.escape(DUMP) + r"\.\d{4}")


def part_name(number: int) -> str:
    """Of the data: from 1 on."""
    return f"{DUMP}.{number:04d}"


def is_part(member: str) -> bool:
    return _PART.fullmatch(member) is not None
