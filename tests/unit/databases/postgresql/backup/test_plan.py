"""What goes into which part of a dump, and where a restore finds it again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.postgresql.archive.contents import Entry, Section, TableOfContents
from covetbackup.core.databases.postgresql.archive.member_names import is_part
from covetbackup.core.databases.postgresql.archive.offsets import PartBoundary, PartOffsets
from covetbackup.core.databases.postgresql.archive.reader import Unsupported, read_contents
from covetbackup.core.databases.postgresql.archive.stages import (
    post_data_stages,
    split_event_triggers,
)
from covetbackup.core.databases.postgresql.backup import plan
from covetbackup.core.databases.postgresql.backup.plan import TableSize, plan_parts
from covetbackup.core.errors import Incomplete
from tests.support.paths import ROOT

SAMPLE = ROOT / "tests/vectors" / "archives" / "postgresql-15.pgc"
CHUNK = 10 << 20


def contents_of(*oids: int) -> TableOfContents:
    """Contents with data of tables of these oids, and of one large object at the end."""
    sample = read_contents(SAMPLE.read_bytes())
    table, blobs = sample.data_entries[2], sample.data_entries[-1]
    tables = [replace(table, oid=oid, dump_id=1000 + oid, offset=None) for oid in oids]
    objects = [entry for entry in sample.entries if entry.kind == b"BLOB"]
    return replace(sample, entries=(*objects, *tables, blobs))


def planned(
    contents: TableOfContents, tables: dict[int, TableSize]
) -> list[list[tuple[int, bytes]]]:
    parts = plan_parts(contents, tables, object_bytes=100, part_size=CHUNK)
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    return [[(task.entry.oid, task.statement) for task in part.tasks] for part in parts]


def oids_of(parts: list[list[tuple[int, bytes]]]) -> list[list[int]]:
    return [[oid for oid, _ in part] for part in parts]


def test_small_tables_share_a_part_in_the_order_of_the_contents() -> None:
    tables = {1: TableSize(6 << 20), 2: TableSize(3 << 20), 3: TableSize(5 << 20), 4: TableSize(0)}
    assert oids_of(planned(contents_of(1, 2, 3, 4), tables)) == [[1, 2], [3, 4, 0]]


def test_thousands_of_tables_make_few_parts_and_none_has_them_all() -> None:
    oids = range(1, 2001)
    parts = planned(contents_of(*oids), {oid: TableSize(8192) for oid in oids})
    assert 4 <= len(parts) <= 10


def test_a_big_heap_is_cut_at_pages_and_its_last_range_is_open() -> None:
    parts = planned(contents_of(1), {1: TableSize(35 << 20, pages=4480)})
    conditions = [part[0][1].split(b"WHERE")[1] for part in parts if part[0][1]]
    assert conditions == [
        b" ctid >= '(0,0)' AND ctid < '(1493,0)') TO STDOUT",
        b" ctid >= '(1493,0)' AND ctid < '(2986,0)') TO STDOUT",
        b" ctid >= '(2986,0)') TO STDOUT",
    ]


@pytest.mark.parametrize(
    "table",
    [
        TableSize(29 << 20, pages=3712),  # less than three chunks
        TableSize(99 << 20, pages=0),  # no heap, or a server that would read all of it each time
        TableSize(99 << 20, pages=9000, condition=b"WHERE mine"),
    ],
)
def test_some_tables_are_not_cut(table: TableSize) -> None:
    assert len([oid for part in planned(contents_of(1), {1: table}) for oid, _ in part]) == 2


def test_wide_values_count_when_a_heap_is_cut() -> None:
    parts = planned(contents_of(1), {1: TableSize(99 << 20, pages=5)})
    assert len(parts) == 5 + 1


def test_a_cut_table_begins_and_ends_once() -> None:
    tables = {1: TableSize(99 << 20, pages=9000)}
    parts = plan_parts(contents_of(1), tables, object_bytes=0, part_size=CHUNK)
    tasks = [task for part in parts for task in part.tasks if task.statement]
    assert [task.starts_block for task in tasks] == [True] + [False] * (len(tasks) - 1)
    assert [task.ends_block for task in tasks] == [False] * (len(tasks) - 1) + [True]
    rows = [part for part in parts if part.tasks[0].statement]
    assert [part.may_be_empty for part in rows] == [False, *[True] * (len(tasks) - 2), False]


def test_many_large_objects_are_read_in_batches() -> None:
    contents = contents_of()
    object_entry = contents.entries[0]
    many = tuple(replace(object_entry, oid=oid) for oid in range(1, 2501))
    contents = replace(contents, entries=(*many, contents.entries[-1]))
    parts = plan_parts(contents, {}, object_bytes=10, part_size=CHUNK)
    tasks = [task for part in parts for task in part.tasks]
    assert [len(task.objects) for task in tasks] == [1000, 1000, 500]
    assert [(task.starts_block, task.ends_block) for task in tasks] == [
        (True, False),
        (False, False),
        (False, True),
    ]


def test_unknown_data_is_for_pg_dump() -> None:
    contents = contents_of(1)
    with pytest.raises(Unsupported, match="not among those that are locked"):
        plan_parts(contents, {}, object_bytes=0, part_size=CHUNK)
    odd = replace(contents.entries[-1], kind=b"NEW DATA")
    with pytest.raises(Unsupported, match="NEW DATA"):
        plan_parts(replace(contents, entries=(odd,)), {}, object_bytes=0, part_size=CHUNK)
    strange = replace(contents.data_entries[0], copy_statement=b"INSERT")
    with pytest.raises(Unsupported, match="COPY statement"):
        plan_parts(
            replace(contents, entries=(strange,)),
            {1: TableSize(1)},
            object_bytes=0,
            part_size=CHUNK,
        )


@pytest.mark.parametrize("gigabytes", [0, 1, 100, 10_000, 1_000_000])
def test_no_database_has_too_many_parts(gigabytes: int) -> None:
    total = gigabytes << 30
    part_size = plan.part_size_bytes(total)
    assert part_size >= plan.SMALLEST_PART_BYTES
    assert total / part_size < plan.MOST_PARTS / 2


def place_sample() -> tuple[TableOfContents, PartOffsets, dict[str, int]]:
    """Tables at 0 (long), 250 and 300 behind the contents, in parts of 100, 100, 80 and 70."""
    sample = read_contents(SAMPLE.read_bytes())
    contents = replace(sample, entries=_at(sample, (0, 250, 300)))
    sizes = {
        "dump.pgc.0000": contents.size,
        "dump.pgc.0001": 100,
        "dump.pgc.0002": 100,
        "dump.pgc.0003": 80,
        "dump.pgc.0004": 70,
        "globals.sql": 7,
    }
    return contents, PartOffsets(contents, sizes), sizes


def _at(sample: TableOfContents, offsets: tuple[int, ...]) -> tuple[Entry, ...]:
    return tuple(
        replace(entry, offset=sample.size + offset)
        for entry, offset in zip(sample.data_entries, offsets, strict=False)
    )


def test_a_part_goes_on_with_what_the_one_before_began() -> None:
    contents, places, _ = place_sample()
    first, second, _ = contents.entries
    pieces = places.member_ranges(all_of(contents))
    found = {piece.member[-1]: places.boundary_of(piece) for piece in pieces}
    continues = {number: place.continues for number, place in found.items()}
    assert continues == {"1": None, "2": first, "3": first, "4": second}
    assert [place.is_continued for place in found.values()] == [True, True, True, False]


def test_parts_of_other_contents_are_refused() -> None:
    contents, _, sizes = place_sample()
    for changed in (
        {**sizes, "dump.pgc.0000": contents.size - 1},
        {name: size for name, size in sizes.items() if name < "dump.pgc.0003"},
        {name: size for name, size in sizes.items() if name != "dump.pgc.0000"},
    ):
        with pytest.raises(Incomplete):
            PartOffsets(contents, changed)
    nowhere = replace(contents.entries[0], offset=None)
    with pytest.raises(Incomplete, match="does not say where"):
        PartOffsets(replace(contents, entries=(nowhere,)), sizes)


def test_names_of_parts() -> None:
    assert is_part("dump.pgc.0000") and is_part("dump.pgc.9999")
    assert not any(map(is_part, ("dump.pgc", "dump.pgc.1", "globals.sql", "xdump.pgc.0001")))


def post_data(dump_id: int, kind: bytes, *dependencies: int, section: int = 4) -> Entry:
    sample = read_contents(SAMPLE.read_bytes()).entries[-1]
    return replace(
        sample,
        dump_id=dump_id,
        kind=kind,
        dependencies=dependencies,
        section=Section(section),
        has_data=False,
    )


def test_indexes_are_attached_by_one_job_between_the_others() -> None:
    stages = post_data_stages(
        contents_with(
            post_data(1, b"INDEX"),
            post_data(2, b"INDEX"),
            post_data(3, b"COMMENT", 1, section=1),
            post_data(4, b"INDEX ATTACH", 1, 2),
            post_data(5, b"FK CONSTRAINT", 4),
            post_data(6, b"MATERIALIZED VIEW DATA", 5),
            post_data(7, b"TRIGGER"),
            post_data(8, b"SECURITY LABEL", 5, section=1),
        )
    )
    assert [stage.is_parallel for stage in stages] == [True, False, True]
    kept = [[entry.dump_id for entry in stage.contents.entries[3:]] for stage in stages]
    assert kept == [[1, 2, 3, 7], [4], [5, 6, 8]]
    assert all(entry.is_setting for stage in stages for entry in stage.contents.entries[:3])


def test_without_indexes_of_partitions_there_is_one_stage() -> None:
    sample = read_contents(SAMPLE.read_bytes()).within(Section.POST_DATA)
    assert [stage.contents for stage in post_data_stages(sample)] == [sample]
    nothing = sample.filter(lambda entry: entry.is_setting)
    assert post_data_stages(nothing) == []


def test_event_triggers_are_made_apart_with_what_is_said_of_them() -> None:
    others, triggers = split_event_triggers(
        contents_with(
            post_data(1, b"EVENT TRIGGER"),
            post_data(2, b"COMMENT", 1, section=1),
            post_data(3, b"MATERIALIZED VIEW DATA"),
        )
    )
    assert [entry.dump_id for entry in others.entries[3:]] == [3]
    assert [entry.dump_id for entry in triggers.entries[3:]] == [1, 2]


def contents_with(*entries: Entry) -> TableOfContents:
    sample = read_contents(SAMPLE.read_bytes())
    return replace(sample, entries=(*sample.entries[:3], *entries))


def all_of(contents: TableOfContents) -> list[int]:
    return [entry.dump_id for entry in contents.entries]


def test_whole_parts_are_read_where_all_in_them_is_wanted() -> None:
    contents, places, _ = place_sample()
    parts = tuple(MemberRange(f"dump.pgc.000{number}") for number in (1, 2, 3, 4))
    assert places.member_ranges(all_of(contents)) == parts
    assert places.member_ranges([]) == ()


def test_ranges_are_read_where_some_is_not() -> None:
    contents, places, _ = place_sample()
    first, second, third = all_of(contents)
    assert places.member_ranges([first]) == (
        MemberRange("dump.pgc.0001"),
        MemberRange("dump.pgc.0002"),
        MemberRange("dump.pgc.0003", 0, 50),
    )
    assert places.member_ranges([second]) == (
        MemberRange("dump.pgc.0003", 50, 30),
        MemberRange("dump.pgc.0004", 0, 20),
    )
    assert places.member_ranges([first, third]) == (
        MemberRange("dump.pgc.0001"),
        MemberRange("dump.pgc.0002"),
        MemberRange("dump.pgc.0003", 0, 50),
        MemberRange("dump.pgc.0004", 20, 50),
    )


def test_a_range_goes_on_or_stays_open_as_its_part_does() -> None:
    contents, places, _ = place_sample()
    first, second, third = contents.entries
    last_of_first, *_ = reversed(places.member_ranges([first.dump_id]))
    begin, rest = places.member_ranges([second.dump_id])
    (whole,) = places.member_ranges([third.dump_id])
    assert places.boundary_of(last_of_first) == PartBoundary(continues=first, is_continued=False)
    assert places.boundary_of(begin) == PartBoundary(continues=None, is_continued=True)
    assert places.boundary_of(rest) == PartBoundary(continues=second, is_continued=False)
    assert places.boundary_of(whole) == PartBoundary(continues=None, is_continued=False)
