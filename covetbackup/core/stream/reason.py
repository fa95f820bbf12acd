"""Selection of the lines of a failed program's messages that say why it failed.

An error of PostgreSQL has up to a dozen lines, and the last ones are the failing command: the
reason begins at the line that says "error". Unknown programs say it in their last lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_LINES = 6
_LINE_CHARACTERS = 400
_LAST_LINES = 5

_ERROR = re.compile(
    r"(?:[\w./:-]+: )?\[?(?:error|fatal|panic)\b"
    # psql in VERBOSITY=verbose: the word may be in any language, the code is not.
    r"|psql:\S+:\d+: \S+:\s+(?!0[0-2])[0-9A-Z]{5}: "
    r"|(?:mysql|mariadb)[\w-]*: (?!\[?(?:warning|note|deprecated)\b)",
    re.IGNORECASE,
)
_DETAIL = re.compile(
    r"(?:DETAIL|HINT|CONTEXT|Command was):|[\w.-]+: (?:detail|hint): ", re.IGNORECASE
)


def reason_lines(text: str) -> list[str]:
    """Return at most six lines of `text`: each error with its details, the first one first.

    The last five lines of a text in which no error is recognised.
    """
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line]
    found = list(_errors(lines))[:_LINES]
    return [_shortened(line) for line in found or lines[-_LAST_LINES:]]


def _errors(lines: Sequence[str]) -> Iterator[str]:
    is_in_error = False
    for line in lines:
        if _ERROR.match(line):
            is_in_error = True
            yield line
        elif is_in_error and _DETAIL.match(line):
            yield line


def _shortened(line: str) -> str:
    return line if len(line) <= _LINE_CHARACTERS else line[: _LINE_CHARACTERS - 1] + "…"
