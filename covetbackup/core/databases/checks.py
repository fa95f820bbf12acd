"""Checks: one finding each, made before a restore or of a connection, and stored with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from covetbackup.core.errors import BadSetting, CovetError, as_sentence


class Level(StrEnum):
    """The result of a check."""

    PASS = "pass"
    UNKNOWN = "unknown"
    """Cannot be seen from here; the restore itself will tell, before anything is real."""
    WARNING = "warning"
    FAIL = "fail"
    """The restore would certainly fail, so it is not begun."""

    @property
    def rank(self) -> int:
        """The order of levels: what needs attention comes first."""
        return (Level.FAIL, Level.WARNING, Level.UNKNOWN, Level.PASS).index(self)


@dataclass(frozen=True, slots=True)
class Check:
    """A check: its `title`, the finding as `detail`, and what to do about it as `fix`."""

    level: Level
    title: str
    detail: str = ""
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """A reason why rows cannot be loaded into existing tables, and what to do about it."""

    title: str
    detail: str
    fix: str


def refuse_incompatible(found: Sequence[Incompatibility]) -> None:
    """Raise `BadSetting` naming all that is `found`."""
    if found:
        raise BadSetting("; ".join(each.detail for each in found), found[0].fix)


def failed(title: str, error: CovetError) -> Check:
    """Return a failed check for `error`."""
    return Check(Level.FAIL, title, as_sentence(error.message), as_sentence(error.hint))


def is_refused(checks: Iterable[Check]) -> bool:
    """Return whether any of `checks` failed."""
    return any(check.level is Level.FAIL for check in checks)


def as_warning(check: Check, reason: str) -> Check:
    """Return `check`, if it failed as a warning with the `reason` why it may not apply."""
    if check.level is not Level.FAIL:
        return check
    return replace(check, level=Level.WARNING, detail=f"{check.detail} {reason}".strip())


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as "1 table" or "2,000 tables"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def join_names(names: Sequence[str], most: int = 5) -> str:
    """Return the first `most` of `names` and how many more there are: "a, b and 3 more"."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def existing_rows(tables: str) -> Check:
    """Return the check for existing rows in `tables`, a text that names those with rows."""
    if not tables:
        return Check(Level.PASS, "Existing rows", "The tables are empty, as far as can be seen.")
    detail = (
        f"{tables} hold rows. They stay, and the rows of the backup are added; if a key exists "
        "already, nothing is added at all."
    )
    fix = "Empty the tables first to have only the rows of the backup."
    return Check(Level.WARNING, "Existing rows", detail, fix)
