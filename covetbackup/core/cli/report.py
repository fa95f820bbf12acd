"""What a command has to say, before anybody decides how it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Report:
    """`data` for `--json`, `lines` for people."""

    data: dict[str, Any]
    lines: Sequence[str]
    status: int = 0
