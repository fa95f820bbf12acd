"""Rewrites the statements of a dump for views, triggers, routines and events.

The dump program writes each in one form, from the server's own SHOW CREATE. Only the beginning of a
statement is changed, recognised together with the line before it, never the author's body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from covetbackup.core.databases.mysql.archive.spool import Script, rewritten
from covetbackup.core.errors import Incomplete

# Double quotes where the sql_mode of a routine has ANSI_QUOTES.
_NAME = rb"(?:`(?:[^`]|``)*`|\"(?:[^\"]|\"\")*\")"
_ACCOUNT = rb"DEFINER=" + _NAME + rb"(?:@" + _NAME + rb")?"
_BEFORE_ACCOUNT = rb"|".join(
    [
        rb"^DELIMITER ;;\n/\*!50003 CREATE\*/ /\*!50017 ",
        rb"^DELIMITER ;;\nCREATE (?:OR REPLACE )?",
        rb"^/\*!50003 SET time_zone             = '[^'\n]*' \*/ ;;\n/\*!50106 CREATE\*/ /\*!50117 ",
        # MariaDB 11 changes the delimiter only here.
        rb"^DELIMITER ;;\n/\*!50106 CREATE\*/ /\*!50117 ",
        rb"^/\*!50001 CREATE ALGORITHM=\w+ \*/\n/\*!50013 ",
    ]
)
_DEFINER = re.compile(rb"(" + _BEFORE_ACCOUNT + rb")" + _ACCOUNT, re.MULTILINE)
_CREATE_EVENT = (
    rb"/\*!50106 CREATE\*/ (?:/\*!50117 "
    + _ACCOUNT
    + rb"\*/ )?/\*!50106 EVENT (?P<name>"
    + _NAME
    + rb") "
)
# Up to the first: a comment may hold these words again.
_SCHEDULE = rb"ON SCHEDULE (?:(?! ON COMPLETION )[^\n])* ON COMPLETION (?:NOT )?PRESERVE "
_ENABLED_EVENT = re.compile(rb"^(" + _CREATE_EVENT + _SCHEDULE + rb")ENABLE\b", re.MULTILINE)
_DISABLED_EVENT = re.compile(rb"^" + _CREATE_EVENT + _SCHEDULE + rb"DISABLE\b", re.MULTILINE)
_NAMED_EVENT = re.compile(rb"^" + _CREATE_EVENT, re.MULTILINE)
_WITH_END = re.compile(
    rb"(?P<before>^/\*!50003 SET time_zone             = '(?P<zone>[^'\n]*)' \*/ ;;?\n"
    rb"(?:DELIMITER ;;\n)?"
    + _CREATE_EVENT
    + rb"ON SCHEDULE (?:AT|EVERY (?:(?! ON COMPLETION )[^\n])*? ENDS) '(?P<end>[^'\n]*)'"
    rb" ON COMPLETION )NOT (?P<after>PRESERVE )(?:ENABLE|DISABLE)\b",
    re.MULTILINE,
)
_ANY_EVENT = re.compile(rb"^/\*!50106 CREATE\*/ ", re.MULTILINE)


def with_definer(script: Script, account: str) -> Script:
    """Return `script` with every definer replaced by `account`.

    The account is quoted as in a GRANT, or CURRENT_USER.
    """
    return rewritten(script, _DEFINER, lambda match: match[1] + b"DEFINER=" + account.encode())


def enabled_events(script: Script) -> set[str]:
    """Return the names of the events that `script` creates enabled."""
    return {_plain(match["name"]) for match in _ENABLED_EVENT.finditer(script)}


def events_that(script: Script, applies: Callable[[bytes], bool]) -> set[str]:
    """Return the names of the events of `script` to whose statement `applies`."""
    found = set()
    for match in _NAMED_EVENT.finditer(script):
        end = script.find(b"\nDELIMITER ;\n", match.end())
        if applies(script[match.start() : end]):
            found.add(_plain(match["name"]))
    return found


def disable_events(script: Script, *, keep: Collection[str] = ()) -> Script:
    """Return `script` with all events created disabled except those called `keep`.

    Raises `Incomplete` for an event that is not understood: it would run.
    """
    disabled = rewritten(
        script,
        _ENABLED_EVENT,
        lambda match: match[0] if _plain(match["name"]) in keep else match[1] + b"DISABLE",
    )
    enabled = len(enabled_events(disabled))
    if _count(_DISABLED_EVENT, disabled) + enabled != _count(_ANY_EVENT, disabled):
        raise Incomplete("events.sql is not what a dump program writes: an event would run")
    return disabled


def preserve_past_events(
    script: Script, is_past: Callable[[str, str], bool]
) -> tuple[Script, list[str]]:
    """Return `script` with events that have ended preserved and disabled, and their names.

    A server would silently drop an event that never runs again. `is_past` is called with the last
    moment of an event and its time zone, as the dump has them.
    """
    names: list[str] = []

    def preserved(match: re.Match[bytes]) -> bytes:
        if not is_past(match["end"].decode(), match["zone"].decode()):
            return match[0]
        names.append(_plain(match["name"]))
        return match["before"] + match["after"] + b"DISABLE"

    return rewritten(script, _WITH_END, preserved), names


def _plain(name: bytes) -> str:
    text = name.decode()
    return text[1:-1].replace(text[0] * 2, text[0])


def _count(pattern: re.Pattern[bytes], script: Script) -> int:
    return sum(1 for _ in pattern.finditer(script))
