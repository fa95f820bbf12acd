"""Entries that a pg_restore failed at, and those it had not come to. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from covetbackup.core.databases.postgresql.archive.contents import Entry, TableOfContents

EVENT_TRIGGER = b"EVENT TRIGGER"
# Not anchored: jobs write to one pipe, and another's line may come after the program's name.
_FAILED = re.compile(r"from TOC entry (\d+); \d+ \d+ ")
_BEGINNING = "pg_restore: connecting to database"
_ACL = (b"ACL", b"ACL LANGUAGE", b"DEFAULT ACL")
_LAST = (EVENT_TRIGGER, b"MATERIALIZED VIEW DATA")


def failed_entries(messages: str, contents: TableOfContents) -> Sequence[Entry]:
    """Return the entries that failed, in the order of `contents`.

    None is returned if the verbose `messages` do not tell, or not all, as their beginning is cut.
    """
    if _BEGINNING not in messages:
        return ()
    ids = {int(number) for number in _FAILED.findall(messages)}
    failed = [entry for entry in contents.entries if entry.dump_id in ids]
    return failed if len(failed) == len(ids) else ()


def after(contents: TableOfContents, failed: Entry) -> TableOfContents:
    """Return what one job that stopped at its first error, `failed`, had not come to.

    It creates everything but grants first, then grants, then what may depend on these.
    """
    pass_number, index = _pass_number(failed), contents.entries.index(failed)
    left = {
        entry.dump_id
        for number, entry in enumerate(contents.entries)
        if (_pass_number(entry), number) > (pass_number, index)
    }
    return contents.filter(lambda entry: entry.dump_id in left or entry.is_setting)


def in_order(contents: TableOfContents) -> list[Entry]:
    """Return the entries of `contents` in the order in which one job creates them."""
    made = [entry for entry in contents.entries if not entry.is_setting]
    return sorted(made, key=_pass_number)


def _pass_number(entry: Entry) -> int:
    is_of_event_trigger = entry.tag.startswith(EVENT_TRIGGER) and entry.kind not in _ACL
    if entry.kind in _LAST or is_of_event_trigger:
        return 2
    return int(entry.kind in _ACL)
