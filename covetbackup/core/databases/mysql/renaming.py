"""Where a dump names the database it was taken from, though it is restored under another name.

A dump names it only in three places where it should not: defaults that take a sequence's value,
views that the server could not resolve, and triggers whose author did.
"""

from __future__ import annotations

import re

from covetbackup.core.databases.mysql.scripts import Script, rewritten
from covetbackup.core.databases.mysql.statements import TRIGGER_HEAD

_NAME = rb"`(?:[^`]|``)*`"
_TEXT = rb"'(?:[^'\\]|\\.|'')*'"
_TRIGGER = re.compile(TRIGGER_HEAD, re.MULTILINE | re.DOTALL)
_VIEW = re.compile(rb"^/\*!50001 VIEW .*? \*/;$", re.MULTILINE | re.DOTALL)


def without_database(script: Script, database: str) -> Script:
    """`script` with columns and functions in views, and the tables of triggers, named without
    `database`.

    A server names them with it where it cannot resolve a view, as when its definer is gone, and
    MariaDB where a trigger's author did; then they could be created only in a database of the old
    name.
    """
    unnamed = rewritten(script, _TRIGGER, _without_places)
    return rewritten(unnamed, _VIEW, lambda view: unqualified(view[0], database))


def _without_places(trigger: re.Match[bytes]) -> bytes:
    """A trigger is always in the database of its table, so whatever it names is that."""
    head, begin = trigger[0], trigger.start()
    for group in ("table_place", "place"):
        head = head[: trigger.start(group) - begin] + head[trigger.end(group) - begin :]
    return head


def unqualified(view: bytes, database: str) -> bytes:
    """The statement of one view, with columns and functions named without `database`."""
    name = re.escape(_quoted(database))
    qualifier = re.compile(
        _TEXT + rb"|(" + name + rb"\.)(?=" + _NAME + rb"[.(])|" + _NAME, re.DOTALL
    )
    return qualifier.sub(lambda found: b"" if found[1] else found[0], view)


def with_sequences_in(script: Script, old: str, new: str) -> Script:
    """`script` with the values of sequences in `old` taken from those in `new`: MariaDB writes
    DEFAULT nextval(`old`.`sequence`) even in a table of that database."""
    function = re.compile(
        rb"|".join(
            [_TEXT, _NAME, rb"\b((?:next|last|set)val\()" + re.escape(_quoted(old)) + rb"(?=\.)"]
        ),
        re.DOTALL | re.IGNORECASE,
    )
    return rewritten(
        script, function, lambda found: found[1] + _quoted(new) if found[1] else found[0]
    )


def mentions(script: Script, database: str) -> bool:
    """Whether `script` seems to name `database` before a dot."""
    name = re.escape(database.encode())
    return (
        re.search(rb"(?<![\w`])(?:" + name + rb"|`" + name + rb"`)\s*\.\s*[\w`]", script)
        is not None
    )


def _quoted(name: str) -> bytes:
    return ("`" + name.replace("`", "``") + "`").encode()
