"""In which order indexes, keys and the like are made. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from covetbackup.core.databases.postgresql.toc.values import Contents, Entry, Section

INDEX_ATTACH = b"INDEX ATTACH"


@dataclass(frozen=True, slots=True)
class Stage:
    """Contents whose post-data section one run of pg_restore makes, with several jobs or one."""

    contents: Contents
    is_parallel: bool


def post_data_stages(contents: Contents) -> list[Stage]:
    """Indexes of partitions are attached to their parents' by one job, between what comes before
    and what needs it: two jobs that do so can deadlock, and pg_restore does not see to that."""
    begin = next(
        (at for at, entry in enumerate(contents.entries) if entry.section == Section.POST_DATA),
        len(contents.entries),
    )
    before, post_data = contents.entries[:begin], contents.entries[begin:]
    if not post_data:
        return []
    attached = {entry.dump_id for entry in post_data if entry.kind == INDEX_ATTACH}
    if not attached:
        return [Stage(contents, is_parallel=True)]
    annotations = {entry.dump_id for entry in post_data if entry.section == Section.NONE}
    late = _needing(post_data, attached) - annotations
    early = {entry.dump_id for entry in post_data} - attached - late - annotations
    of_early, of_late = _annotations_of(post_data, early), _annotations_of(post_data, late)
    context = {entry.dump_id for entry in before}
    return [
        _stage(contents, context | early | of_early - of_late, is_parallel=True),
        _stage(contents, context | attached, is_parallel=False),
        _stage(contents, context | late | of_late, is_parallel=True),
    ]


def _annotations_of(post_data: Collection[Entry], kept: Collection[int]) -> set[int]:
    """Dump ids of the comments and security labels on what is `kept`. pg_restore takes them for a
    part of the section of the entry before them: they must follow one of post-data, or it skips
    them. Those that name no object there go with the entry before them."""
    ids = {entry.dump_id for entry in post_data}
    found: set[int] = set()
    follows_kept = False
    for entry in post_data:
        if entry.section != Section.NONE:
            follows_kept = entry.dump_id in kept
        elif any(need in kept for need in entry.needs):
            found.add(entry.dump_id)
        elif follows_kept and ids.isdisjoint(entry.needs):
            found.add(entry.dump_id)
    return found


def _stage(contents: Contents, kept: Collection[int], *, is_parallel: bool) -> Stage:
    return Stage(contents.kept(lambda entry: entry.dump_id in kept), is_parallel)


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
