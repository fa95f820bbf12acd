"""In which order indexes, keys and the like are made. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from covetbackup.core.databases.postgresql.archive.contents import Contents, Entry
from covetbackup.core.databases.postgresql.restore.failures import EVENT_TRIGGER

INDEX_ATTACH = b"INDEX ATTACH"


@dataclass(frozen=True, slots=True)
class Stage:
    """Contents that one run of pg_restore makes, with several jobs or one."""

    contents: Contents
    is_parallel: bool


def post_data_stages(post_data: Contents) -> list[Stage]:
    """Indexes of partitions are attached to their parents' by one job, between what comes before
    and what needs it: two jobs that do so can deadlock, and pg_restore does not see to that."""
    entries = [entry for entry in post_data.entries if not entry.is_setting]
    attached = {entry.dump_id for entry in entries if entry.kind == INDEX_ATTACH}
    late = _needing(entries, attached)
    early = {entry.dump_id for entry in entries} - attached - late
    stages = ((early, True), (attached, False), (late, True))
    return [
        Stage(only(post_data, kept), is_parallel=is_parallel)
        for kept, is_parallel in stages
        if kept
    ]


def without_event_triggers(contents: Contents) -> tuple[Contents, Contents]:
    """Return `contents` without event triggers, and these with what is said of them: they act on
    whatever is made after them, REFRESH included, and so they are made last."""
    triggers = {entry.dump_id for entry in contents.entries if entry.kind == EVENT_TRIGGER}
    triggers |= {entry.dump_id for entry in contents.entries if triggers.intersection(entry.needs)}
    return (
        contents.kept(lambda entry: entry.dump_id not in triggers),
        only(contents, triggers),
    )


def only(contents: Contents, kept: Collection[int]) -> Contents:
    """Return of `contents` the entries with these dump ids, and how they are written."""
    return contents.kept(lambda entry: entry.dump_id in kept or entry.is_setting)


def _needing(entries: Collection[Entry], needed: Collection[int]) -> set[int]:
    """Dump ids of the entries that need one of `needed`, or need such an entry."""
    found: set[int] = set()
    while True:
        more = {
            entry.dump_id
            for entry in entries
            if entry.dump_id not in found
            and entry.dump_id not in needed
            and any(need in needed or need in found for need in entry.needs)
        }
        if not more:
            return found
        found |= more
