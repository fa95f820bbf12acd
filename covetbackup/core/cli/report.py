"""The result of a command, apart from how it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TextTable:
    """Rows of text under `headers`; the columns whose indexes are in `numeric` align right."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a command: `data` is printed with `--json`, else `table` and `lines`.

    `status` is the exit status, see `exits.EXITS`.
    """

    data: dict[str, Any]
    lines: Sequence[str]
    status: int = 0
    table: TextTable | None = None
