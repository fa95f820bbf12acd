"""Rewrites qualified names in a dump that is restored under another name.

A dump names its database in the text of views (MariaDB: where a view also reads another database or
takes a sequence's value; both: before functions where the author did, and where the server could
not resolve the view), in defaults that take a sequence's value, and in the heads of triggers whose
author did (MariaDB). Bodies of triggers, routines and events are as their authors wrote them: they
are never rewritten here, see `mentions`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from covetbackup.core.databases.mysql.archive.spool import Script, rewritten
from covetbackup.core.databases.mysql.archive.stored_objects import TRIGGER_HEAD

_NAME = rb"`(?:[^`]|``)*`"
_TEXT = rb"'(?:[^'\\]|\\.|'')*'"
_TRIGGER = re.compile(TRIGGER_HEAD, re.MULTILINE | re.DOTALL)
_VIEW = re.compile(rb"^/\*!50001 VIEW .*? \*/;$", re.MULTILINE | re.DOTALL)
_TOKEN = re.compile(
    _TEXT
    + rb"|(?P<first>" + _NAME + rb")(?P<more>(?:\." + _NAME + rb")*)"
    + rb"|(?P<word>[A-Za-z_][\w$]*)|(?P<open>\()|(?P<close>\))",
    re.DOTALL,
)  # fmt: skip
_BEFORE_TABLES = {b"from", b"join", b"straight_join"}
_WITH_FROM_OF_THEIR_OWN = {b"trim", b"extract"}  # trim(both 'x' from `c`)
_TAKE_SEQUENCES = {b"nextval", b"lastval", b"setval"}


@dataclass(frozen=True, slots=True)
class Renaming:
    """The renaming of the database `old` of a script to `new`.

    `ignore_case` is whether the server that wrote the script ignores case in names of databases.
    """

    old: str
    new: str
    ignore_case: bool = False

    def applies_to(self, name: str) -> bool:
        """Return whether `name` names the old database."""
        return name == self.old or (self.ignore_case and name.lower() == self.old.lower())


def with_database(script: Script, renaming: Renaming) -> Script:
    """Return `script` with the new database in views and without database names in trigger heads.

    The script has triggers, routines and views.
    """
    unplaced = rewritten(script, _TRIGGER, _without_places)
    return rewritten(unplaced, _VIEW, lambda view: in_database(view[0], renaming))


def _without_places(trigger: re.Match[bytes]) -> bytes:
    """Remove database names from the head of a trigger, which is always in that of its table."""
    head, begin = trigger[0], trigger.start()
    for group in ("table_place", "place"):
        head = head[: trigger.start(group) - begin] + head[trigger.end(group) - begin :]
    return head


def in_database(view: bytes, renaming: Renaming) -> bytes:
    """Return the statement of a view with objects of the new database in place of the old one's.

    These are tables, columns, functions and sequences; `view` is the statement as a server writes
    it.

    The name is replaced, never left out: without it a table could be taken for a common table
    expression of the same name. An alias that is called like the database stays.
    """
    new, pieces, at = _quoted(renaming.new), list[bytes](), 0
    for begin, names in _qualified(view):
        if renaming.applies_to(_plain(names[0])):
            pieces += [view[at:begin], new]
            at = begin + len(names[0])
    return b"".join([*pieces, view[at:]])


def databases_in(view: bytes) -> dict[str, set[str]]:
    """Return the tables, functions and sequences that a view names with a database, by database."""
    found: dict[str, set[str]] = {}
    for _, names in _qualified(view):
        found.setdefault(_plain(names[0]), set()).add(_plain(names[1]))
    return found


def _qualified(view: bytes) -> list[tuple[int, list[bytes]]]:
    """Return the qualified names in `view` that begin with a database: offset and parts of each.

    The first of two names is a database only where a table, a function or a sequence is expected:
    elsewhere they are a table and its column.
    """
    found: list[tuple[int, list[bytes]]] = []
    context = _Context()
    for token in _TOKEN.finditer(view):
        if token["first"]:
            names = re.findall(_NAME, token[0], re.DOTALL)
            is_call = view[token.end() : token.end() + 1] == b"("
            if len(names) > 2 or (len(names) == 2 and (is_call or context.takes_a_table)):
                found.append((token.start(), names))
        context.follow(token)
    return found


class _Context:
    """The syntactic context of the next token of a view's statement."""

    def __init__(self) -> None:
        self._calls: list[bytes] = []
        self._last = b""
        self.takes_a_table = False

    def follow(self, token: re.Match[bytes]) -> None:
        word = (token["word"] or b"").lower()
        if token["open"]:
            self._calls.append(self._last)
            self.takes_a_table = self.takes_a_table or self._last in _TAKE_SEQUENCES
        elif token["close"]:
            self._calls = self._calls[:-1]
        elif word in _BEFORE_TABLES:
            inside = self._calls[-1] if self._calls else b""
            self.takes_a_table = word != b"from" or inside not in _WITH_FROM_OF_THEIR_OWN
        else:
            self.takes_a_table = False
        self._last = word


def with_sequences_in(script: Script, old: str, new: str) -> Script:
    """Return `script` with the sequences of database `new` in place of those of `old`.

    MariaDB writes DEFAULT nextval(`old`.`sequence`) even in a table of that database.
    """
    function = re.compile(
        rb"|".join(
            [_TEXT, _NAME, rb"\b((?:next|last|set)val\()" + re.escape(_quoted(old)) + rb"(?=\.)"]
        ),
        re.DOTALL | re.IGNORECASE,
    )
    return rewritten(
        script, function, lambda found: found[1] + _quoted(new) if found[1] else found[0]
    )


def mentions(script: Script, database: str, *, ignore_case: bool = False) -> bool:
    """Return whether `script` seems to name `database` before a dot."""
    name = re.escape(database.encode())
    naming = re.compile(
        rb"(?<![\w`])(?:" + name + rb"|`" + name + rb"`)\s*\.\s*[\w`]",
        re.IGNORECASE if ignore_case else 0,
    )
    return naming.search(script) is not None


def _quoted(name: str) -> bytes:
    return ("`" + name.replace("`", "``") + "`").encode()


def _plain(name: bytes) -> str:
    return name[1:-1].decode().replace("``", "`")
