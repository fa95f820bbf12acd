"""Rewrites what the dump program wrote of views, triggers, routines and events.

It writes each in one form, from the server's own SHOW CREATE. Only the beginning of a statement is
touched, recognised together with the line before it, never the body that people wrote.
"""

from __future__ import annotations

import re

from covetbackup.core.databases.mysql.scripts import Script, rewritten
from covetbackup.core.errors import Incomplete

# Double quotes where the sql_mode of a routine has ANSI_QUOTES.
_NAME = rb"(?:`(?:[^`]|``)*`|\"(?:[^\"]|\"\")*\")"
_ACCOUNT = rb"DEFINER=" + _NAME + rb"(?:@" + _NAME + rb")?"
_BEFORE_ACCOUNT = rb"|".join(
    [
        rb"^DELIMITER ;;\n/\*!50003 CREATE\*/ /\*!50017 ",
        rb"^DELIMITER ;;\nCREATE (?:OR REPLACE )?",
        rb"^/\*!50003 SET time_zone             = '[^'\n]*' \*/ ;;\n/\*!50106 CREATE\*/ /\*!50117 ",
        rb"^/\*!50001 CREATE ALGORITHM=\w+ \*/\n/\*!50013 ",
    ]
)
_DEFINER = re.compile(rb"(" + _BEFORE_ACCOUNT + rb")" + _ACCOUNT, re.MULTILINE)
_EVENT = re.compile(
    rb"^(/\*!50106 CREATE\*/ (?:/\*!50117 "
    + _ACCOUNT
    + rb"\*/ )?/\*!50106 EVENT (?P<name>"
    + _NAME
    + rb") ON SCHEDULE [^\n]*? ON COMPLETION (?:NOT )?PRESERVE )ENABLE\b",
    re.MULTILINE,
)
_ANY_EVENT = re.compile(rb"^/\*!50106 CREATE\*/ ", re.MULTILINE)
_ASLEEP = re.compile(rb"^/\*!50106 CREATE\*/ [^\n]*? PRESERVE DISABLE\b", re.MULTILINE)


def with_definer(script: Script, account: str) -> Script:
    """`script` with every definer replaced by `account`: an account quoted as in a GRANT, or
    CURRENT_USER."""
    return rewritten(script, _DEFINER, lambda match: match[1] + b"DEFINER=" + account.encode())


def enabled_events(script: Script) -> set[str]:
    """The names of the events that `script` creates to run."""
    names = (match["name"].decode() for match in _EVENT.finditer(script))
    return {name[1:-1].replace(name[0] * 2, name[0]) for name in names}


def with_events_asleep(script: Script) -> Script:
    """`script` with every event created disabled. Raises `Incomplete` if one is not understood:
    it would run."""
    asleep = rewritten(script, _EVENT, lambda match: match[1] + b"DISABLE")
    if _count(_ASLEEP, asleep) != _count(_ANY_EVENT, asleep):
        raise Incomplete("events.sql is not what a dump program writes: an event could not be kept")
    return asleep


def _count(pattern: re.Pattern[bytes], script: Script) -> int:
    return sum(1 for _ in pattern.finditer(script))
