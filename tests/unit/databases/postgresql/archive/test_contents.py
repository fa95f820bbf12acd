"""Archives that PostgreSQL's own programs made are understood, to the byte."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from covetbackup.core.databases.postgresql.archive import copy_sql
from covetbackup.core.databases.postgresql.archive.block_codec import (
    BlockData,
    BlockDecoder,
    BlockEnded,
    BlockStarted,
    ObjectStarted,
)
from covetbackup.core.databases.postgresql.archive.contents import TABLE_DATA, TableOfContents
from covetbackup.core.databases.postgresql.archive.reader import (
    NeedsMore,
    Unsupported,
    read_contents,
)
from covetbackup.core.databases.postgresql.archive.writer import head_of_archive, toc_of_directory
from covetbackup.core.databases.postgresql.backup import plan
from covetbackup.core.errors import Incomplete, NotAnArchive
from tests.support.paths import ROOT

FOLDER = ROOT / "tests/vectors" / "archives"
ARCHIVES = {path.stem: path.read_bytes() for path in sorted(FOLDER.glob("*.pgc"))}


@pytest.fixture(params=ARCHIVES)
def archive(request: pytest.FixtureRequest) -> bytes:
    return ARCHIVES[request.param]


def test_there_is_an_archive_of_every_known_version() -> None:
    versions = {read_contents(archive).version[:2] for archive in ARCHIVES.values()}
    assert versions == {(1, 14), (1, 15), (1, 16)}


def test_contents_are_written_as_they_were_read(archive: bytes) -> None:
    contents = read_contents(archive)
    assert head_of_archive(contents, offsets(contents)) == archive[: contents.size]
    assert len(head_of_archive(contents, {})) == contents.size


def test_contents_that_have_not_all_arrived_are_waited_for(archive: bytes) -> None:
    size = read_contents(archive).size
    for end in range(size):
        with pytest.raises(NeedsMore):
            read_contents(archive[:end])
    assert read_contents(archive[:size]).size == size


def test_what_is_no_archive_of_a_known_version_is_told_apart(archive: bytes) -> None:
    with pytest.raises(NotAnArchive):
        read_contents(b"SQLit" + archive[5:])
    for place, value in ((6, 13), (6, 17), (7 + 1, 8), (9, 4), (10, 3)):
        changed = bytearray(archive)
        changed[place] = value
        with pytest.raises(Unsupported):
            read_contents(bytes(changed))


def test_fewer_entries_take_as_much_less_room(archive: bytes) -> None:
    contents = read_contents(archive)
    fewer = contents.filter(lambda entry: not entry.has_data)
    head = head_of_archive(fewer, {})
    assert len(head) == fewer.size < contents.size
    again = read_contents(head)
    assert [entry.dump_id for entry in again.entries] == [e.dump_id for e in fewer.entries]


def test_the_data_lies_where_the_contents_say(archive: bytes) -> None:
    contents = read_contents(archive)
    for entry in contents.data_entries:
        assert entry.offset is not None
        first = next(BlockDecoder(b"").feed(archive[entry.offset :]))
        assert first == BlockStarted(entry.dump_id)


@pytest.mark.parametrize("size", [1, 3, 7, 10_000])
def test_blocks_are_the_same_however_they_arrive(archive: bytes, size: int) -> None:
    rows, objects = taken_apart(archive, size)
    assert b"".join(rows["nothing"]) == b"\n\\.\n\n\n"
    assert b"".join(rows["plain"]) == b"1\t\\\\.\n2\t\\\\N\n3\t\\N\n\\.\n\n\n"
    assert objects == {4711: b"large", 4712: b"", 3_000_000_000: b"far"}


def test_pieces_of_an_impossible_kind_are_refused() -> None:
    with pytest.raises(Incomplete, match="kind 2"):
        list(BlockDecoder(b"").feed(b"\x02" + bytes(5)))
    with pytest.raises(Incomplete, match="cannot be"):
        list(BlockDecoder(b"\x01").feed(b"\x01\x05\x00\x00\x00"))


def test_rows_are_read_by_the_counterpart_of_their_copy(archive: bytes) -> None:
    contents = read_contents(archive)
    statements = {
        entry.tag: copy_sql.copy_to_stdout(entry)
        for entry in contents.data_entries
        if entry.kind == TABLE_DATA
    }
    assert statements == {
        b"a (b) FROM stdin;": b'COPY "odd ""one"""."a (b) FROM stdin;" ("c, d", "e)") TO STDOUT',
        b"nothing": b'COPY "public"."nothing"  TO STDOUT',
        b"plain": b'COPY "public"."plain" (id, said) TO STDOUT',
    }


def test_conditions_and_pages_select_from_the_table_alone(archive: bytes) -> None:
    contents = read_contents(archive)
    nothing, plain = (
        next(entry for entry in contents.data_entries if entry.tag == tag)
        for tag in (b"nothing", b"plain")
    )
    assert copy_sql.copy_to_stdout(plain, b"WHERE id > 9") == (
        b'COPY (SELECT id, said FROM ONLY "public"."plain" WHERE id > 9) TO STDOUT'
    )
    assert copy_sql.copy_to_stdout(nothing, copy_sql.ctid_range(4, 8)) == (
        b'COPY (SELECT  FROM ONLY "public"."nothing"'
        b" WHERE ctid >= '(4,0)' AND ctid < '(8,0)') TO STDOUT"
    )
    assert copy_sql.ctid_range(8, None) == b"WHERE ctid >= '(8,0)'"


def test_large_objects_are_listed_for_their_data(archive: bytes) -> None:
    contents = read_contents(archive)
    (data,) = [entry for entry in contents.data_entries if entry.kind == b"BLOBS"]
    assert sorted(plan.large_object_oids(contents, data)) == [4711, 4712, 3_000_000_000]


def test_a_directorys_contents_name_files(archive: bytes) -> None:
    contents = read_contents(archive)
    toc = toc_of_directory(contents, {contents.data_entries[0].dump_id: "1.dat"})
    assert toc[10] == 3 and toc.count(b"1.dat") == 1


@given(st.binary(max_size=400))
def test_noise_never_reads_as_an_archive(noise: bytes) -> None:
    with pytest.raises((NotAnArchive, NeedsMore, Unsupported)):
        read_contents(noise)


def offsets(contents: TableOfContents) -> dict[int, int]:
    return {entry.dump_id: entry.offset for entry in contents.entries if entry.offset is not None}


def taken_apart(archive: bytes, size: int) -> tuple[dict[str, list[bytes]], dict[int, bytes]]:
    contents = read_contents(archive)
    tags = {entry.dump_id: entry.tag.decode() for entry in contents.data_entries}
    rows: dict[str, list[bytes]] = {}
    objects: dict[int, bytes] = {}
    now, oid, ended = "", 0, 0
    blocks = BlockDecoder(b"")
    for start in range(contents.size, len(archive), size):
        for event in blocks.feed(archive[start : start + size]):
            match event:
                case BlockStarted(dump_id):
                    now = tags[dump_id]
                case ObjectStarted(number):
                    oid = number
                    objects[oid] = b""
                case BlockData(content) if oid:
                    objects[oid] += bytes(content)
                case BlockData(content):
                    rows.setdefault(now, []).append(bytes(content))
                case BlockEnded():
                    ended += 1
    assert ended == len(contents.data_entries) and blocks.is_between() and not blocks.block
    return rows, objects
