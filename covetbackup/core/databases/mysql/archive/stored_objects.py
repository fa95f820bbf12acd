"""Parses `programs.sql`, the dump of triggers, routines and views, into one statement for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from covetbackup.core.databases.mysql.archive.spool import Script

_NAME = rb"(?:`(?:[^`]|``)*`|\"(?:[^\"]|\"\")*\"|[^\s`\"(.;]+)"
# A comment that could end in more than one place would be tried in all of them, in all others too.
_SPACE = rb"(?:\s|/\*(?:[^*]|\*(?!/))*\*/|--[^\n]*\n|#[^\n]*\n)+"
_SETTING = rb"(?:^/\*!50003 SET (?![^\n]*= @saved_)[^\n]*;\n)+"
_RESETTING = rb"(?:^/\*!50003 SET [^\n]*= @saved_[^\n]*;\n)*"
_MULTILINE = re.MULTILINE | re.DOTALL
_LOCATION = rb"(?:" + _NAME + rb"\s*\.\s*)?"
# In any spelling: MariaDB keeps a trigger's statement as its author wrote it.
_FROM_TRIGGER_TO_FOR = (
    rb"(?i:TRIGGER)"
    + rb"(?:" + _SPACE + rb"(?i:IF)" + _SPACE + rb"(?i:NOT)" + _SPACE + rb"(?i:EXISTS))?"
    + _SPACE + rb"(?P<place>" + _LOCATION + rb")(?P<name>" + _NAME + rb")"
    + _SPACE + rb"(?i:BEFORE|AFTER)" + _SPACE + rb"(?i:INSERT|UPDATE|DELETE|OR|\s)+"
    + _SPACE + rb"(?i:ON)"
    + _SPACE + rb"(?P<table_place>" + _LOCATION + rb")(?P<table>" + _NAME + rb")" + _SPACE
    + rb"(?i:FOR)\b"
)  # fmt: skip
TRIGGER_HEAD = rb"^/\*!50003 CREATE\*/ (?:/\*!50017 [^\n]*?\*/ )?/\*!50003 " + _FROM_TRIGGER_TO_FOR
_SHOWN_HEAD = re.compile(
    rb"CREATE DEFINER=" + _NAME + rb"(?:@" + _NAME + rb")? " + _FROM_TRIGGER_TO_FOR
    + _SPACE + rb"(?i:EACH)" + _SPACE + rb"(?i:ROW)\b",
    re.DOTALL,
)  # fmt: skip
_TRIGGER = re.compile(
    _SETTING + rb"DELIMITER ;;\n" + TRIGGER_HEAD + rb".*?\*/;;\nDELIMITER ;\n" + _RESETTING,
    _MULTILINE,
)
_ANY_TRIGGER = re.compile(rb"^/\*!50003 CREATE\*/ ", re.MULTILINE)
_ROUTINE = re.compile(
    rb"(?:^/\*!50003 SET (?![^\n]*= @saved_)[^\n]*;\n)*"
    rb"^/\*!50003 DROP (?P<kind>[A-Z ]+) IF EXISTS (?P<name>" + _NAME + rb") \*/;\n"
    rb"(?:^/\*![^\n]*;\n)*DELIMITER ;;\n.*?;;\nDELIMITER ;\n" + _RESETTING,
    _MULTILINE,
)
_VIEW = re.compile(
    rb"^-- Final view structure for view (?P<name>" + _NAME + rb")\n--\n\n(?P<rest>.*?)"
    rb"(?=\n--\n-- |^/\*!40103 SET TIME_ZONE=@OLD)",
    _MULTILINE,
)
_VIEW_BEGIN = re.compile(rb"^/\*!50001 VIEW " + _NAME + rb" AS ", re.MULTILINE)
_TEXT = rb"'(?:[^'\\]|\\.|'')*'"
_MENTIONED = re.compile(
    _TEXT + rb"|\bAS `(?:[^`]|``)*`|\.`(?:[^`]|``)*`|`(?P<name>(?:[^`]|``)*)`(?P<call>\()?",
    re.DOTALL,
)
_HEADER_END = re.compile(rb"^/\*!40111 SET @OLD_SQL_NOTES[^\n]*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger, its table, and the statements that create it."""

    name: str
    table: str
    text: bytes


@dataclass(frozen=True, slots=True)
class View:
    """A view. `reads` are all names in it that may be of tables or views, `calls` of functions."""

    name: str
    text: bytes
    reads: frozenset[str]
    calls: frozenset[str]


@dataclass(frozen=True, slots=True)
class StoredStatements:
    """The parsed statements of a script, views in an order in which they can be created.

    `unread` is the number of triggers that were not understood.
    """

    header: bytes
    triggers: tuple[Trigger, ...]
    routines: dict[str, bytes]
    views: dict[str, View]
    unread: int

    def script(self, *, tables: Collection[str], views: Collection[str]) -> bytes:
        """Return the script of `views`, the functions they call, and the triggers of `tables`."""
        wanted = [view for name, view in self.views.items() if name in views]
        calls = {name for view in wanted for name in view.calls}
        return b"".join(
            [
                self.header,
                *(text for name, text in self.routines.items() if name in calls),
                *(trigger.text for trigger in self.triggers if trigger.table in tables),
                *(view.text for view in wanted),
            ]
        )


def read_statements(script: Script) -> StoredStatements:
    """Parse `programs.sql`."""
    header = _HEADER_END.search(script)
    triggers = [
        Trigger(_plain(found["name"]), _plain(found["table"]), found[0])
        for found in _TRIGGER.finditer(script)
    ]
    return StoredStatements(
        header=b"" if header is None else script[: header.end()],
        triggers=tuple(triggers),
        routines={_plain(found["name"]): found[0] for found in _ROUTINE.finditer(script)},
        views={view.name: view for view in _views(script)},
        unread=count_unread_triggers(script),
    )


def programs_that(script: Script, applies: Callable[[Script], bool]) -> list[str]:
    """Return the triggers and routines of `script` whose statement `applies` accepts.

    Each is returned as "trigger name" and so on.
    """
    return [
        *(
            f"trigger {_plain(found['name'])}"
            for found in _TRIGGER.finditer(script)
            if applies(found[0])
        ),
        *(
            f"{found['kind'].decode().lower()} {_plain(found['name'])}"
            for found in _ROUTINE.finditer(script)
            if applies(found[0])
        ),
    ]


def body_of_trigger(shown: str) -> str | None:
    """Return what follows FOR EACH ROW in a statement that creates a trigger.

    The statement is one of SHOW CREATE TRIGGER; None is returned if it is not understood.
    """
    statement = shown.encode()
    head = _SHOWN_HEAD.match(statement)
    return statement[head.end() :].decode() if head else None


def count_unread_triggers(script: Script) -> int:
    """Return how many triggers of `script` are not understood."""
    read = sum(1 for _ in _TRIGGER.finditer(script))
    return sum(1 for _ in _ANY_TRIGGER.finditer(script)) - read


def _views(script: Script) -> Iterator[View]:
    for found in _VIEW.finditer(script):
        reads: set[str] = set()
        calls: set[str] = set()
        begin = _VIEW_BEGIN.search(found["rest"])
        for mentioned in _MENTIONED.finditer(found["rest"], begin.end() if begin else 0):
            if mentioned["name"] is not None:
                names = calls if mentioned["call"] else reads
                names.add(_plain(b"`" + mentioned["name"] + b"`"))
        name = _plain(found["name"].replace(b"\n-- ", b"\n"))
        yield View(name, found["rest"], frozenset(reads), frozenset(calls))


def _plain(name: bytes) -> str:
    text = name.decode()
    return text[1:-1].replace(text[0] * 2, text[0]) if text[:1] in ("`", '"') else text
