"""Whether a cron expression is one, and ever comes due. Five fields, as crontab(5) has them.

Pure. Raises `ValueError` with what is wrong, in lower case and without a full stop.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_DAYS = "sun mon tue wed thu fri sat".split()
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
_PART = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?")


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five; `names` stand for numbers from `least` on."""

    title: str
    least: int
    most: int
    names: Sequence[str] = ()


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, _MONTHS),
    Field("day of the week", 0, 7, _DAYS),
)


def check_cron(text: str) -> None:
    """Raises `ValueError` for an expression that is none, or that never comes due."""
    parts = text.split()
    if len(parts) != len(FIELDS):
        raise ValueError(f"a cron expression has 5 fields, not {len(parts)}")
    found = [_numbers(field, part) for field, part in zip(FIELDS, parts, strict=True)]
    days, months, is_any_weekday = found[2], found[3], parts[4].startswith("*")
    if is_any_weekday and not any(min(days) <= _LONGEST.get(month, 31) for month in months):
        raise ValueError(f"day {min(days)} is in none of these months")


def _numbers(field: Field, text: str) -> set[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        match = _PART.fullmatch(part)
        if match is None or match[1] == "*" and match[2]:
            raise ValueError(f"{text[:40]!r} is no {field.title}")
        found |= _range(field, match[1], match[2], match[3])
    return found


def _range(field: Field, first: str, last: str | None, step: str | None) -> set[int]:
    if first == "*":
        low, high = field.least, field.most
    else:
        low = _number(field, first)
        high = _number(field, last) if last else field.most if step else low
    if low > high:
        raise ValueError(f"{first}-{last} runs backwards as {field.title}")
    if step is not None and not 1 <= int(step) <= field.most:
        raise ValueError(f"a step of {step[:20]} makes no sense as {field.title}")
    return set(range(low, high + 1, int(step or 1)))


def _number(field: Field, text: str) -> int:
    if text in field.names:
        return field.least + field.names.index(text)
    if not (text.isascii() and text.isdigit()) or not field.least <= int(text) <= field.most:
        raise ValueError(f"{text[:20]!r} is no {field.title}: {field.least} to {field.most}")
    return int(text)
