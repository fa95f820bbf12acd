"""Some tables of a backup: with what they need, without what they do not, and no more is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from covetbackup.core.databases.postgresql.archive import directory
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting, Incomplete, TargetNotEmpty
from covetbackup.core.manager import RestoreManager
from covetbackup.core.operations.restore import RestoreResult
from tests.support.postgres import PostgresRole, PostgresServer, drop_databases
from tests.support.postgres_backup import Notes, contents
from tests.support.postgres_selection import (
    SOURCE,
    TARGET,
    Counting,
    Place,
    back_up,
    restore_part,
    rich_backups,
)


@pytest.fixture(scope="module")
def place(postgres_server: PostgresServer) -> Iterator[Place]:
    """A repository with a rich backup in many parts, and one in one stream before it."""
    with rich_backups(postgres_server, "whole", "parts") as place:
        yield place


@pytest.fixture(autouse=True)
def tidy(place: Place, postgres_tidy: PostgresServer) -> None:
    """Whatever a test restores goes when it ends."""


def restore(
    server: PostgresServer,
    place: Place,
    *tables: str,
    notes: Notes | None = None,
    schemas: tuple[str, ...] = (),
    with_data: bool = True,
    slug: str = "parts",
) -> RestoreResult:
    selection = Selection(tables, schemas, with_data)
    return restore_part(server, place, selection, slug=slug, progress=notes)


def label_of(place: Place, slug: str) -> str:
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
    postgres_server: PostgresServer, place: Place
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


def test_foreign_keys_come_when_both_ends_do(postgres_server: PostgresServer, place: Place) -> None:
    restore(postgres_server, place, "public.egg")
    assert names(postgres_server, KEYS) == set()
    drop_databases(postgres_server, {TARGET})
    restore(postgres_server, place, "public.egg", "public.chicken")
    assert names(postgres_server, KEYS) == {"egg_chicken_fkey", "chicken_egg_fkey"}


def test_a_partitioned_table_comes_with_its_partitions(
    postgres_server: PostgresServer, place: Place
) -> None:
    restore(postgres_server, place, "public.sale")
    assert postgres_server.rows(TARGET, "SELECT count(*) FROM sale") == [(701,)]
    assert "sale_2_rest_customer_idx" in names(postgres_server, INDEXES)


def test_a_partition_alone_becomes_a_table(postgres_server: PostgresServer, place: Place) -> None:
    notes = Notes()
    restore(postgres_server, place, "public.by list: a", notes=notes)
    assert postgres_server.rows(TARGET, 'SELECT count(*) FROM "by list: a"') == [(20,)]
    assert any("a table of its own" in line for line in notes.lines)


def test_rows_that_change_partitions_bring_all_of_them(
    postgres_server: PostgresServer, place: Place
) -> None:
    restore(postgres_server, place, "public.by_mood_0")
    assert is_as_in_the_source(postgres_server, "public.by_mood")


def test_a_view_brings_what_it_shows(postgres_server: PostgresServer, place: Place) -> None:
    notes = Notes()
    restore(postgres_server, place, "public.big", notes=notes)
    assert (
        contents(postgres_server, TARGET)["public.big"]
        == (contents(postgres_server, "chosen_from")["public.big"])
    )
    assert any("as it is needed: public.totals" in line for line in notes.lines)


def test_a_schema_comes_whole(postgres_server: PostgresServer, place: Place) -> None:
    restore(postgres_server, place, schemas=('we"ird ☃',))
    assert is_as_in_the_source(postgres_server, 'we"ird ☃.ta\nble -x')


def test_structure_alone_has_no_rows(postgres_server: PostgresServer, place: Place) -> None:
    restore(postgres_server, place, "public.customer", with_data=False)
    assert postgres_server.rows(TARGET, "SELECT count(*) FROM customer") == [(0,)]
    assert "customer_pkey" in names(postgres_server, INDEXES)


def test_only_what_is_wanted_is_read(postgres_server: PostgresServer, place: Place) -> None:
    storage = place[0].storage
    assert isinstance(storage, Counting)
    storage.read = 0
    restore(postgres_server, place, "public.egg")
    little = storage.read
    storage.read = 0
    RestoreManager(*place).restore_backup(
        label_of(place, "parts"),
        postgres_server.url("all_of_it"),
        RestoreRequest(jobs=2),
        password=postgres_server.password,
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
    place: Place,
    tables: tuple[str, ...],
    slug: str,
    message: str,
) -> None:
    before = postgres_server.databases()
    with pytest.raises(BadSetting, match=message):
        restore(postgres_server, place, *tables, slug=slug)
    assert postgres_server.databases() == before


def test_what_would_come_is_told_before_anything_runs(
    place: Place,
) -> None:
    listing = RestoreManager(*place).contents(label_of(place, "parts"))
    sizes = listing.table_bytes()
    assert sizes["public.wide"] > 400_000 and sizes["public.no_columns"] < 100
    resolved = listing.resolve(Selection(("public.totals",)))
    assert "public.sale_1" in resolved.dependencies
    assert "public.sale sale_customer_fkey" in resolved.omitted_foreign_keys
    with pytest.raises(BadSetting, match="one stream"):
        RestoreManager(*place).contents(label_of(place, "whole"))


@pytest.mark.parametrize("slug", ["parts", "whole"])
def test_a_backup_is_exported_as_a_directory_for_pg_restore(
    postgres_server: PostgresServer,
    place: Place,
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
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory.BlockDecoder, "is_between", lambda blocks: False)
    with pytest.raises(Incomplete, match="midst"):
        RestoreManager(*place).export(label_of(place, "parts"), tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


def test_a_schema_comes_under_another_name(postgres_server: PostgresServer, place: Place) -> None:
    """What refers to its objects goes on doing so; code that is kept as text is told of."""
    notes = Notes()
    selection = Selection(("public.big", "public.customer"), schemas_as=(("public", "as of: ☃"),))
    restored = restore_part(postgres_server, place, selection, progress=notes)
    there = contents(postgres_server, "chosen_from")
    assert contents(postgres_server, TARGET)["as of: ☃.big"] == there["public.big"]
    counted = {table.label: table.rows for table in restored.inventory.tables if table.exact}
    assert counted["as of: ☃.customer"] == 500
    postgres_server.execute(TARGET, 'REFRESH MATERIALIZED VIEW "as of: ☃".totals')
    assert any("still says public" in line and "touch()" in line for line in notes.lines)
    assert postgres_server.rows(TARGET, "SELECT to_regnamespace('public')::text") == [(None,)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("nowhere", "x", "nothing of schema 'nowhere'"),
        ("public", "public", "schema 'public' exists"),
        ("public", "pg_mine", "is not a valid schema name"),
        ("public", "", "is not a valid schema name"),
        ("public", "n" * 64, "longer than 63 bytes"),
    ],
)
def test_a_name_that_a_schema_cannot_get_is_refused_before_anything_is_made(
    postgres_server: PostgresServer, place: Place, old: str, new: str, message: str
) -> None:
    before = postgres_server.databases()
    selection = Selection(("public.egg",), schemas_as=((old, new),))
    with pytest.raises(BadSetting, match=message):
        restore_part(postgres_server, place, selection)
    assert postgres_server.databases() == before


def test_only_roles_that_what_is_selected_speaks_of_are_asked_for(
    postgres_server: PostgresServer, place: Place, postgres_role: Callable[..., PostgresRole]
) -> None:
    mine, other = postgres_role(), postgres_role()
    postgres_server.execute(
        SOURCE,
        f"CREATE TABLE mine AS SELECT 1 AS one; ALTER TABLE mine OWNER TO {mine.name}",
        f"CREATE TABLE others AS SELECT 2 AS two; GRANT SELECT ON others TO {other.name}",
    )
    owner = f"ALTER DATABASE {SOURCE} OWNER TO"
    postgres_server.execute(SOURCE, f"{owner} {other.name}")
    back_up(postgres_server, place, "owned")
    postgres_server.execute(SOURCE, f"{owner} postgres")
    gone = [
        f"{act} {role.name}" for role in (mine, other) for act in ("DROP OWNED BY", "DROP ROLE")
    ]
    postgres_server.execute(SOURCE, *gone, "DROP TABLE others")
    notes = Notes()
    problems = restore(postgres_server, place, "public.egg", slug="owned").problems
    assert any("left out: ALTER DATABASE" in line and other.name in line for line in problems)
    drop_databases(postgres_server, {TARGET})
    with pytest.raises(BadSetting, match=f"roles missing on this server: {mine.name}$"):
        restore(postgres_server, place, "public.mine", slug="owned")
    selection = Selection(("public.mine",))
    restore_part(postgres_server, place, selection, slug="owned", create_roles=True, progress=notes)
    assert f"roles created: {mine.name}" in notes.lines
