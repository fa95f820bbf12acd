"""Removes row contents from the messages of database servers and their client programs.

Kept are code, state, message, object names and position ("COPY t, line 3, column a"). Values,
failing rows and failing statements with rows are not: messages reach logs, catalog and pages.
What an application's own trigger or function says in an error cannot be recognised.
"""

from __future__ import annotations

import re

_CUT = "…"

# MariaDB's client prints the failing statement, rows included, between two such lines.
_STATEMENT = re.compile(r"^-{14}\n.*?(?:^-{14}\n(?=\s*ERROR )|\Z)", re.MULTILINE | re.DOTALL)

# A value may hold line ends: what begins in none of these ways continues the line before it.
_BEGINNING = re.compile(
    r"^(?=(?:psql|pg_\w+|mysql\w*|mariadb[\w-]*):"
    r"|(?:ERROR|FATAL|PANIC|WARNING|NOTICE|DETAIL|HINT|CONTEXT|QUERY|STATEMENT|LOCATION"
    r"|LINE \d+|Command was):|ERROR \d|-- |Traceback |  File |The above |During handling "
    r"|[\w.]+\.\w+: )",
    re.MULTILINE,
)
_DETAIL = re.compile(r"\A(?:[\w.]+: )?(?:detail: )?DETAIL:\s+(?P<text>.*)\Z", re.DOTALL)
_KEY = re.compile(r"\A(?P<columns>[^()]*\([^=]*\)=\().*\Z", re.DOTALL)
_HARMLESS = re.compile(
    r"(?:There (?:is|are) |Key columns |Process \d+ waits ).*|.* depends on .*|[^(\"\d]*", re.DOTALL
)
_COPIED = re.compile(r"(CONTEXT:\s+COPY .*?, \w+ \d+(?:, \w+ [^:]*?)?): .*\Z", re.DOTALL)
_MYSQL_WORDS = (
    r"(Duplicate entry |Incorrect [\w ]*value: |Truncated incorrect [\w() ]*value: "
    r"|Invalid [\w ]*character string: |Cannot convert string |value is out of range in )"
)
_VALUES = tuple(
    (re.compile(pattern, re.DOTALL), replacement)
    for pattern, replacement in (
        (_MYSQL_WORDS + r"'.*'(?= for (?:key|column|function)\b| from \w+ to )", rf"\1'{_CUT}'"),
        (_MYSQL_WORDS + rf"(?!'{_CUT}')'.*'", rf"\1'{_CUT}'"),
        (r"(has no partition for value )(?!from column_list)\S+", rf"\1{_CUT}"),
        (r"((?:ERROR|CONTEXT):.*\bSQL statement )\".*\"", rf'\1"{_CUT}"'),
        (r"((?:invalid|malformed|out of range)[\w ]*: )\".*\"", rf'\1"{_CUT}"'),
        (r"\"[^\n]*\"(?= is out of range| not recognized)", f'"{_CUT}"'),
        (r"(byte sequence )(?:0x[0-9a-f]{2} ?)+", rf"\1{_CUT} "),
        (r"(invalid byte sequence for encoding \"\w+\": )(?:0x[0-9a-f]{2} ?)+", rf"\1{_CUT}"),
    )
)


def without_rows(text: str) -> str:
    """Return `text`, printed by a server or a client program, without values of rows."""
    parts = _BEGINNING.split(_STATEMENT.sub("", text))
    return "".join(map(_without_values, parts))


def _without_values(part: str) -> str:
    detail = _DETAIL.match(part)
    if detail is not None:
        return _detail(part, detail["text"])
    part = _COPIED.sub(r"\1\n", part)
    for pattern, replacement in _VALUES:
        part = pattern.sub(replacement, part)
    return part


def _detail(part: str, text: str) -> str:
    key = _KEY.match(text)
    if key is not None:
        return f"DETAIL:  {key['columns']}{_CUT})\n"
    return part if _HARMLESS.fullmatch(text) else ""
