"""Some tables of a backup instead of all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from covetbackup.core.crypto.keyring import Keyring, new_keys
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting
from covetbackup.core.manager import BackupManager, RestoreManager, create_repository
from tests.support.mariadb import MysqlServer, create_database
from tests.support.mariadb_backup import (
    Taken,
    contents,
    definitions,
    engine_for,
    fill_richly,
    fresh_name,
    put_back,
    take,
)
from tests.support.postgres_backup import Notes

SOURCE = "chosen_from"


@pytest.fixture(scope="module")
def taken(mariadb_server: MysqlServer) -> Iterator[Taken]:
    create_database(mariadb_server, SOURCE)
    fill_richly(mariadb_server, SOURCE)
    yield take(engine_for(mariadb_server, SOURCE), streams=2)
    mariadb_server.execute(None, f"DROP DATABASE {SOURCE}")


@pytest.fixture(autouse=True)
def tidy(taken: Taken, mariadb_tidy: MysqlServer) -> None:
    """Whatever a test restores goes when it ends; the backup, made before, stays."""


@pytest.mark.parametrize(
    ("tables", "sequences"),
    [
        (("kinds", "parted", 'it\'s "a" `nasty` - name; ☃ %s %(x)s \\n'), ()),
        (("parent", "child"), ()),
        (("numbered",), ("counting",)),
        (("line\nend", "history"), ()),
    ],
)
def test_chosen_tables_come_back_and_no_others(
    mariadb_server: MysqlServer, taken: Taken, tables: tuple[str, ...], sequences: tuple[str, ...]
) -> None:
    copy = fresh_name()
    put_back(
        engine_for(mariadb_server, SOURCE),
        taken,
        mariadb_server.url(copy),
        jobs=2,
        selection=Selection(tables),
    )
    wanted = {*tables, *sequences}
    original = contents(mariadb_server, SOURCE)
    restored = contents(mariadb_server, copy)
    assert restored == {name: digest for name, digest in original.items() if name in wanted}


def test_a_foreign_key_that_leads_out_is_left_out(
    mariadb_server: MysqlServer, taken: Taken
) -> None:
    copy = fresh_name()
    put_back(
        engine_for(mariadb_server, SOURCE),
        taken,
        mariadb_server.url(copy),
        selection=Selection(("child",)),
    )
    assert "FOREIGN KEY" not in mariadb_server.rows(copy, "SHOW CREATE TABLE child")[0][1]
    mariadb_server.execute(copy, "INSERT INTO child VALUES (99, 99)")


def test_a_view_brings_what_it_reads_and_calls(mariadb_server: MysqlServer, taken: Taken) -> None:
    copy, notes = fresh_name(), Notes()
    put_back(
        engine_for(mariadb_server, SOURCE),
        taken,
        mariadb_server.url(copy),
        selection=Selection(("a_top",)),
        progress=notes,
    )
    original = contents(mariadb_server, SOURCE)
    assert contents(mariadb_server, copy) == {
        name: original[name] for name in ("a_top", "z_base", "parent")
    }
    assert definitions(mariadb_server, copy).keys() >= {"VIEW a_top", "FUNCTION twice"}
    told = "\n".join(notes.lines)
    assert "also restored, as it is needed: z_base" in told and "function twice" in told
    assert "triggers are restored with their tables (noting, noting_too)" in told


def test_triggers_come_with_their_tables_in_their_order(
    mariadb_server: MysqlServer, taken: Taken
) -> None:
    copy = fresh_name()
    put_back(
        engine_for(mariadb_server, SOURCE),
        taken,
        mariadb_server.url(copy),
        selection=Selection(("parent", "log")),
    )
    before = mariadb_server.rows(copy, "SELECT count(*) FROM log")[0][0]
    mariadb_server.execute(copy, "INSERT INTO parent VALUES (99, NULL)")
    written = mariadb_server.rows(copy, "SELECT what FROM log ORDER BY 1")
    assert len(written) == before + 3
    order = "SELECT TRIGGER_NAME, ACTION_ORDER FROM information_schema.TRIGGERS WHERE"
    assert mariadb_server.rows(copy, f"{order} TRIGGER_SCHEMA = '{copy}' ORDER BY 2") == [
        ("noting", 1),
        ("noting_too", 2),
    ]


def test_triggers_are_found_however_their_authors_wrote_them(mariadb_server: MysqlServer) -> None:
    name, copy = create_database(mariadb_server), fresh_name()
    mariadb_server.execute(
        name,
        "CREATE TABLE `x ``y` (i int)",
        "CREATE TABLE plain (i int)",
        f"CREATE\tTRIGGER {name} . `one two` before  update\nOn `x ``y`\nfor each row SET @a = 1",
        f"CREATE TRIGGER IF NOT EXISTS three AFTER /* on x */ DELETE ON {name}.plain FOR EACH ROW"
        " SET @b = ' ON `x ``y` FOR EACH ROW '",
        "CREATE TRIGGER four BEFORE INSERT ON plain FOR EACH ROW SET @c = 1",
    )
    taken = take(engine_for(mariadb_server, name))
    target = mariadb_server.url(copy)
    put_back(
        engine_for(mariadb_server, name), taken, target, selection=Selection(("x `y", "plain"))
    )
    found = definitions(mariadb_server, copy).keys()
    assert found >= {"TRIGGER one two", "TRIGGER three", "TRIGGER four"}


def test_without_data_only_the_structure_comes(mariadb_server: MysqlServer, taken: Taken) -> None:
    copy = fresh_name()
    selection = Selection(("parted",), with_data=False)
    put_back(
        engine_for(mariadb_server, SOURCE), taken, mariadb_server.url(copy), selection=selection
    )
    assert mariadb_server.rows(copy, "SELECT count(*) FROM parted") == [(0,)]


@pytest.mark.parametrize(
    "selection",
    [
        Selection(("no_such",)),
        Selection((), ("public",)),
        Selection(),
        Selection(("parted",), with_structure=False),
    ],
)
def test_what_is_not_there_cannot_be_chosen(
    mariadb_server: MysqlServer, taken: Taken, selection: Selection
) -> None:
    before = mariadb_server.databases()
    with pytest.raises(BadSetting):
        put_back(
            engine_for(mariadb_server, SOURCE),
            taken,
            mariadb_server.url(fresh_name()),
            selection=selection,
        )
    assert mariadb_server.databases() == before


def test_a_stored_backup_lists_its_tables_and_gives_one(
    mariadb_server: MysqlServer, tmp_path: Path
) -> None:
    (tmp_path / "repository").mkdir()
    repository = create_repository(f"file://{tmp_path}/repository")
    keyring = Keyring.of(new_keys().working)
    backup = BackupManager(repository, keyring)
    label = str(
        backup.create_backup(
            mariadb_server.url(SOURCE), password=mariadb_server.password, min_slots=1
        ).manifest.label
    )
    manager, copy = RestoreManager(repository, keyring), fresh_name()
    listing = manager.contents(label)
    assert listing.table_bytes().keys() >= {"parent", "kinds", "parted"}
    resolved = listing.resolve(Selection(("child",)))
    assert resolved.omitted_foreign_keys == ("child.has a parent",)
    manager.restore_backup(
        label,
        mariadb_server.url(copy),
        RestoreRequest(jobs=2, selection=Selection(("child", "parted"))),
        password=mariadb_server.password,
    )
    assert contents(mariadb_server, copy).keys() == {"child", "parted"}
    renaming = Selection(("child",), schemas_as=(("public", "before"),))
    with pytest.raises(BadSetting, match="has no schemas to rename"):
        manager.restore_backup(
            label,
            mariadb_server.url(fresh_name()),
            RestoreRequest(selection=renaming),
            password=mariadb_server.password,
        )
