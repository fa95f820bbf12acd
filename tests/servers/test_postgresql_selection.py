"""Some tables of a backup: with what they need, without what they do not, and no more is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.databases.postgresql.parts import directory, plan
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import (
    BadSetting,
    DatabaseUnavailable,
    Incomplete,
    SinkFailed,
    TargetNotEmpty,
)
from covetbackup.core.manager import BackupManager, RestoreManager
from covetbackup.core.operations.restore import RestoreRequest, RestoreResult, restore_backup
from covetbackup.core.repository.repository import Repository
from covetbackup.core.storage.memory import MemoryStorage
from covetbackup.core.stream.base import Source
from tests.support.doubles import make_keys, make_repository
from tests.support.postgres import PostgresServer, drop_databases
from tests.support.postgres_backup import Notes, contents, engine_for, fill_richly

TARGET = "selected"


class Counting(MemoryStorage):
    """Counts the bytes that are asked of it."""

    read = 0

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Source:
        size = self.stat(name).size - offset
        self.read += size if length is None else min(length, size)
        return super().open(name, offset, length)


@pytest.fixture(scope="module")
def place(postgres_server: PostgresServer) -> Iterator[tuple[Repository, Keyring]]:
    """A repository with a rich backup in many parts, and one in one stream before it."""
    name = postgres_server.create_database("chosen_from")
    fill_richly(postgres_server, name)
    _, keyring = make_keys()
    repository = make_repository(storage=Counting())
    manager = BackupManager(repository, keyring)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "SMALLEST_CHUNK", 60_000)
        patch.setattr(plan, "LARGEST_CHUNK", 60_000)
        password = postgres_server.password
        for slug, method in (("whole", "logical"), ("parts", "")):
            manager.create_backup(
                postgres_server.url(name), password=password, name=slug, method=method
            )
    yield repository, keyring
    drop_databases(postgres_server, {name})


@pytest.fixture(autouse=True)
def tidy(place: tuple[Repository, Keyring], postgres_tidy: PostgresServer) -> None:
    """Whatever a test restores goes when it ends."""


def restore(
    server: PostgresServer,
    place: tuple[Repository, Keyring],
    *tables: str,
    notes: Notes | None = None,
    schemas: tuple[str, ...] = (),
    with_data: bool = True,
    slug: str = "parts",
) -> RestoreResult:
    repository, keyring = place
    (label,) = repository.labels(slug)
    selection = Selection(tables, schemas, with_data)
    return restore_backup(
        repository,
        label,
        engine_for(server),
        RestoreRequest(server.url(TARGET), jobs=2, selection=selection),
        keyring=keyring,
        progress=notes or Notes(),
    )


def label_of(place: tuple[Repository, Keyring], slug: str) -> str:
    (label,) = place[0].labels(slug)
    return str(label)


def is_as_in_the_source(server: PostgresServer, *tables: str) -> bool:
    here, there = contents(server, TARGET), contents(server, "chosen_from")
    return set(here) == {*tables, "large objects"} and all(here[t] == there[t] for t in tables)


def names(server: PostgresServer, query: str) -> set[str]:
    return {name for (name,) in server.rows(TARGET, query)}


INDEXES = "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'"
KEYS = "SELECT conname FROM pg_constraint WHERE contype = 'f'"
TYPES = "SELECT typname FROM pg_type WHERE typname IN ('mood', 'posint', 'pair')"
TRIGGERS = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgparentid = 0"


def test_a_table_comes_with_its_types_indexes_sequence_and_trigger(
    postgres_server: PostgresServer, place: tuple[Repository, Keyring]
) -> None:
    notes = Notes()
    restored = restore(postgres_server, place, "public.customer", notes=notes)
    assert is_as_in_the_source(postgres_server, "public.customer")
    assert names(postgres_server, INDEXES) == {"customer_pkey", "customer_name_key"}
    assert names(postgres_server, TYPES) == {"mood", "posint", "pair"}
    assert names(postgres_server, TRIGGERS) == {"touched"}
    assert [each.value for each in restored.inventory.sequences] == [500]
    assert any("left out" in line and "sale_customer_fkey" in line for line in notes.lines)
    assert any("public.touch()" in line for line in notes.lines)


def test_foreign_keys_come_when_both_ends_do(
    postgres_server: PostgresServer, place: tuple[Repository, Keyring]
) -> None:
    restore(postgres_server, place, "public.egg")
    assert names(postgres_server, KEYS) == set()
    drop_databases(postgres_server, {TARGET})
    restore(postgres_server, place, "public.egg", "public.chicken")
    assert names(postgres_server, KEYS) == {"egg_chicken_fkey", "chicken_egg_fkey"}


def test_a_partitioned_table_comes_with_its_partitions(
    postgres_server: PostgresServer, place: tuple[Repository, Keyring]
) -> None:
    restore(postgres_server, place, "public.sale")
    assert postgres_server.rows(TARGET, "SELECT count(*) FROM sale") == [(701,)]
    assert "sale_2_rest_customer_idx" in names(postgres_server, INDEXES)


def test_a_partition_alone_becomes_a_table(
    postgres_server: PostgresServer, place: tuple[Repository, Keyring]
) -> None:
    notes = Notes()
    restore(postgres_server, place, "public.by list: a", notes=notes)
    assert postgres_server.rows(TARGET, 'SELECT count(*) FROM "by list: a"') == [(20,)]
    assert any("a table of its own" in line for line in notes.lines)


def test_rows_that_change_partitions_bring_all_of_them(
    postgres_server: PostgresServer, place: tuple[Repository, Keyring]
) -> None:
    restore(postgres_server, place, "public.by_mood_0")
    assert is_as_in_the_source(postgres_server, "public.by_mood")


def test_a_view_brings_what_it_shows(
    postgres_server: PostgresServer, place: tuple[Repository, Keyring]
) -> None:
    notes = Notes()
    restore(postgres_server, place, "public.big", notes=notes)
    assert (
        contents(postgres_server, TARGET)["public.big"]
        == (contents(postgres_server, "chosen_from")["public.big"])
    )
    assert any("as it is needed: public.totals" in line for line in notes.lines)


def test_a_schema_comes_whole(
    postgres_server: PostgresServer, place: tuple[Repository, Keyring]
) -> None:
    restore(postgres_server, place, schemas=('we"ird ☃',))
    assert is_as_in_the_source(postgres_server, 'we"ird ☃.ta\nble -x')


def test_structure_alone_has_no_rows(
    postgres_server: PostgresServer, place: tuple[Repository, Keyring]
) -> None:
    restore(postgres_server, place, "public.customer", with_data=False)
    assert postgres_server.rows(TARGET, "SELECT count(*) FROM customer") == [(0,)]
    assert "customer_pkey" in names(postgres_server, INDEXES)


def test_only_what_is_wanted_is_read(
    postgres_server: PostgresServer, place: tuple[Repository, Keyring]
) -> None:
    storage = place[0].storage
    assert isinstance(storage, Counting)
    storage.read = 0
    restore(postgres_server, place, "public.egg")
    little = storage.read
    storage.read = 0
    restore_all = RestoreRequest(postgres_server.url("all_of_it"), jobs=2)
    RestoreManager(*place).restore_backup(
        label_of(place, "parts"), restore_all, password=postgres_server.password
    )
    assert little < storage.read / 2


@pytest.mark.parametrize(
    ("tables", "slug", "message"),
    [
        (("public.nowhere",), "parts", "no table public.nowhere"),
        ((), "parts", "nothing is selected"),
        (("public.egg",), "whole", "one stream"),
    ],
)
def test_what_cannot_be_selected_is_refused_and_leaves_nothing(
    postgres_server: PostgresServer,
    place: tuple[Repository, Keyring],
    tables: tuple[str, ...],
    slug: str,
    message: str,
) -> None:
    before = postgres_server.databases()
    with pytest.raises(BadSetting, match=message):
        restore(postgres_server, place, *tables, slug=slug)
    assert postgres_server.databases() == before


def test_what_would_come_is_told_before_anything_runs(
    place: tuple[Repository, Keyring],
) -> None:
    listing = RestoreManager(*place).contents(label_of(place, "parts"))
    sizes = listing.table_bytes()
    assert sizes["public.wide"] > 400_000 and sizes["public.no_columns"] < 100
    chosen = listing.chosen(Selection(("public.totals",)))
    assert "public.sale_1" in chosen.pulled and "public.sale sale_customer_fkey" in chosen.skipped
    with pytest.raises(BadSetting, match="one stream"):
        RestoreManager(*place).contents(label_of(place, "whole"))


@pytest.mark.parametrize("slug", ["parts", "whole"])
def test_a_backup_is_exported_as_a_directory_for_pg_restore(
    postgres_server: PostgresServer,
    place: tuple[Repository, Keyring],
    tmp_path: Path,
    slug: str,
) -> None:
    folder = tmp_path / "exported"
    RestoreManager(*place).export(label_of(place, slug), folder)
    postgres_server.create_database(TARGET)
    postgres_server.tool("pg_restore", "-e", "-j2", "-d", TARGET, str(folder))
    assert contents(postgres_server, TARGET) == contents(postgres_server, "chosen_from")
    with pytest.raises(TargetNotEmpty, match="exported"):
        RestoreManager(*place).export(label_of(place, slug), folder)


def test_an_export_that_fails_leaves_no_folder(
    place: tuple[Repository, Keyring], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory.Blocks, "is_between", lambda blocks: False)
    with pytest.raises(Incomplete, match="midst"):
        RestoreManager(*place).export(label_of(place, "parts"), tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


def rows_into(
    server: PostgresServer, place: tuple[Repository, Keyring], *tables: str
) -> RestoreResult:
    repository, keyring = place
    selection = Selection(tables, with_structure=False)
    return restore_backup(
        repository,
        next(iter(repository.labels("parts"))),
        engine_for(server),
        RestoreRequest(server.url(TARGET), jobs=2, selection=selection),
        keyring=keyring,
        progress=Notes(),
    )


def test_rows_go_into_tables_that_are_there(
    postgres_server: PostgresServer, place: tuple[Repository, Keyring]
) -> None:
    restore(postgres_server, place, "public.sale", "public.customer", with_data=False)
    result = rows_into(postgres_server, place, "public.customer", "public.sale")
    assert {table.label: table.rows for table in result.inventory.tables if table.exact} == {
        "public.customer": 500,
        "public.sale_1": 366,
        "public.sale_2_rest": 335,
    }
    here, there = contents(postgres_server, TARGET), contents(postgres_server, "chosen_from")
    assert here["public.customer"] == there["public.customer"]
    assert here["public.sale"] == there["public.sale"]


def test_rows_wait_for_the_disk_when_they_are_committed(
    postgres_server: PostgresServer, place: tuple[Repository, Keyring]
) -> None:
    restore(postgres_server, place, "public.customer", with_data=False)
    postgres_server.execute(
        TARGET,
        f"ALTER DATABASE {TARGET} SET synchronous_commit = 'on'",
        "CREATE TABLE seen (setting text)",
        "CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO"
        " public.seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END$$",
        "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON customer"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.see()",
    )
    rows_into(postgres_server, place, "public.customer")
    assert postgres_server.rows(TARGET, "SELECT DISTINCT setting FROM seen") == [("on",)]


def test_rows_that_do_not_fit_leave_the_tables_as_they_were(
    postgres_server: PostgresServer, place: tuple[Repository, Keyring]
) -> None:
    restore(postgres_server, place, "public.tall", "public.customer")
    before = contents(postgres_server, TARGET)
    with pytest.raises(SinkFailed, match="customer"):  # its keys are there already
        rows_into(postgres_server, place, "public.tall", "public.customer")
    assert contents(postgres_server, TARGET) == before
    postgres_server.execute(TARGET, "DROP TABLE customer")
    with pytest.raises(SinkFailed, match="does not exist"):
        rows_into(postgres_server, place, "public.tall", "public.customer")
    assert contents(postgres_server, TARGET)["public.tall"] == before["public.tall"]


def test_rows_need_a_database_that_is_there(
    postgres_server: PostgresServer, place: tuple[Repository, Keyring]
) -> None:
    with pytest.raises(DatabaseUnavailable, match=TARGET):
        rows_into(postgres_server, place, "public.customer")
