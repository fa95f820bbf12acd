"""The order in which indexes, keys and the like are created. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from covetbackup.core.databases.postgresql.archive.contents import Entry, TableOfContents
from covetbackup.core.databases.postgresql.restore.failures import EVENT_TRIGGER

INDEX_ATTACH = b"INDEX ATTACH"


@dataclass(frozen=True, slots=True)
class PostDataStage:
    """Contents that one run of pg_restore creates, with several jobs if it `is_parallel`."""

    contents: TableOfContents
    is_parallel: bool


def post_data_stages(post_data: TableOfContents) -> list[PostDataStage]:
    """Return the stages in which the entries of `post_data` are created, one after the other.

    Indexes of partitions are attached to their parents' by one job, between what comes before and
    what depends on it: two jobs that do so can deadlock, which pg_restore does not prevent.
    """
    entries = [entry for entry in post_data.entries if not entry.is_setting]
    attached = {entry.dump_id for entry in entries if entry.kind == INDEX_ATTACH}
    late = _needing(entries, attached)
    early = {entry.dump_id for entry in entries} - attached - late
    stages = ((early, True), (attached, False), (late, True))
    return [
        PostDataStage(restrict_to(post_data, dump_ids), is_parallel=is_parallel)
        for dump_ids, is_parallel in stages
        if dump_ids
    ]


def split_event_triggers(contents: TableOfContents) -> tuple[TableOfContents, TableOfContents]:
    """Return `contents` without event triggers, and these with their annotations.

    They act on whatever is done after them, REFRESH included, and so they are created last.
    """
    triggers = {entry.dump_id for entry in contents.entries if entry.kind == EVENT_TRIGGER}
    triggers |= {
        entry.dump_id for entry in contents.entries if triggers.intersection(entry.dependencies)
    }
    return (
        contents.filter(lambda entry: entry.dump_id not in triggers),
        restrict_to(contents, triggers),
    )


def restrict_to(contents: TableOfContents, dump_ids: Collection[int]) -> TableOfContents:
    """Return `contents` with only the entries of these dump ids, and the settings."""
    return contents.filter(lambda entry: entry.dump_id in dump_ids or entry.is_setting)


def _needing(entries: Collection[Entry], needed: Collection[int]) -> set[int]:
    """Return the dump ids of entries that depend on one of `needed`, directly or not."""
    found: set[int] = set()
    while True:
        more = {
            entry.dump_id
            for entry in entries
            if entry.dump_id not in found
            and entry.dump_id not in needed
            and any(need in needed or need in found for need in entry.dependencies)
        }
        if not more:
            return found
        found |= more
