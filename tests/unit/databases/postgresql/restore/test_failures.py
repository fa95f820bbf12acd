"""What pg_restore says of its failures, and what is left to be done after one."""

from __future__ import annotations

from dataclasses import replace

from covetbackup.core.databases.postgresql.archive.contents import TableOfContents
from covetbackup.core.databases.postgresql.archive.reader import read_contents
from covetbackup.core.databases.postgresql.restore.failures import after, failed_entries
from tests.support.paths import ROOT

SAMPLE = ROOT / "tests/vectors" / "archives" / "postgresql-15.pgc"
BEGINNING = "pg_restore: connecting to database for restore\n"
FAILURE = """pg_restore: creating INDEX "public.i"
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry {}; 1259 18531 INDEX i postgres
pg_restore: error: could not execute query: ERROR:  no
"""


def contents_of(*kinds: bytes) -> TableOfContents:
    sample = read_contents(SAMPLE.read_bytes())
    settings, entry = sample.entries[:3], sample.entries[-1]
    others = (replace(entry, dump_id=n + 1, kind=kind) for n, kind in enumerate(kinds))
    return replace(sample, entries=(*settings, *others))


def ids(contents: TableOfContents) -> list[int]:
    return [entry.dump_id for entry in contents.entries if not entry.is_setting]


def test_each_failed_entry_is_found_once_in_the_order_of_the_contents() -> None:
    contents = contents_of(b"TABLE", b"INDEX", b"INDEX")
    messages = BEGINNING + FAILURE.format(3) + FAILURE.format(2) + FAILURE.format(3)
    assert [entry.dump_id for entry in failed_entries(messages, contents)] == [2, 3]


def test_a_failure_whose_line_another_jobs_line_begins_is_found() -> None:
    contents = contents_of(b"TABLE", b"INDEX")
    mixed = FAILURE.format(2).replace("pg_restore: from", "pg_restore: pg_restore: creating\nfrom")
    messages = BEGINNING + FAILURE.format(1) + mixed
    assert [entry.dump_id for entry in failed_entries(messages, contents)] == [1, 2]


def test_failures_that_are_not_all_known_are_none_to_go_on_from() -> None:
    contents = contents_of(b"TABLE")
    assert failed_entries(FAILURE.format(1), contents) == ()  # the beginning is cut off
    assert failed_entries(BEGINNING + FAILURE.format(77), contents) == ()
    assert failed_entries(BEGINNING, contents) == []


def test_one_job_has_made_everything_before_its_failure_but_what_comes_last() -> None:
    contents = contents_of(b"TABLE", b"ACL", b"VIEW", b"INDEX", b"MATERIALIZED VIEW DATA", b"ACL")
    table, grant, view, index, refresh, last = contents.entries[3:]
    assert ids(after(contents, view)) == [2, 4, 5, 6]
    assert ids(after(contents, grant)) == [5, 6]
    assert ids(after(contents, last)) == [5]
    assert ids(after(contents, refresh)) == []
