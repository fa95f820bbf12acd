"""A copy under another name stands alone: it reads its own tables and does not act on the original
behind anyone's back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.mysql.inventory import references
from covetbackup.core.databases.mysql.replace import swap
from covetbackup.core.databases.mysql.restore.scratch import PREFIX
from covetbackup.core.databases.mysql.server.connection import connect
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import BadSetting, Unreadable
from covetbackup.core.progress import Silent
from tests.support.command_line import command_line
from tests.support.mariadb import MakeUser, MysqlServer, create_database
from tests.support.mariadb_backup import (
    Taken,
    contents,
    engine_for,
    fill,
    fresh_name,
    put_back,
    settings_for,
    take,
)
from tests.support.mysql_references import (
    NAMING,
    SHARED,
    event_states,
    make_referring,
    restore_with_notes,
)

ORIGINAL = "referring"


@pytest.fixture(scope="module")
def backup(mariadb_server: MysqlServer) -> Iterator[tuple[Taken, dict[str, str]]]:
    """Of a database that is gone, and what it held. The other one that it reads is there."""
    make_referring(mariadb_server, ORIGINAL)
    taken = take(engine_for(mariadb_server, ORIGINAL))
    held = contents(mariadb_server, ORIGINAL)
    mariadb_server.execute(None, f"DROP DATABASE {ORIGINAL}")
    yield taken, held
    mariadb_server.execute(None, f"DROP DATABASE {SHARED}")


Backup = tuple[Taken, dict[str, str]]


def test_a_copy_reads_its_own_tables_and_the_other_database(
    mariadb_tidy: MysqlServer, backup: Backup
) -> None:
    taken, held = backup
    copy = fresh_name()
    notes, _ = restore_with_notes(engine_for(mariadb_tidy, copy), taken, mariadb_tidy.url(copy))
    assert contents(mariadb_tidy, copy) == held
    mariadb_tidy.execute(copy, "UPDATE sale SET v = 7 WHERE id = 1")
    assert mariadb_tidy.rows(copy, "SELECT v FROM alias WHERE id = 1") == [(7,)]
    mariadb_tidy.execute(copy, "INSERT INTO numbered VALUES ()")
    # A value was cached for numbered already.
    assert [row[1] >= 500 for row in mariadb_tidy.rows(copy, "SELECT * FROM numbered")] == [True]
    acting, asleep = notes
    assert all(name in acting for name in NAMING)
    assert "harmless" not in acting and "tidy" not in acting
    assert "nightly, tidy" in asleep
    assert set(event_states(mariadb_tidy, copy).values()) == {"DISABLED"}


def test_it_comes_back_under_its_own_name_after_a_loss(
    mariadb_tidy: MysqlServer, backup: Backup
) -> None:
    taken, held = backup
    engine = engine_for(mariadb_tidy, ORIGINAL)
    notes, _ = restore_with_notes(engine, taken, mariadb_tidy.url(ORIGINAL))
    assert contents(mariadb_tidy, ORIGINAL) == held
    assert notes == []
    expected = {"nightly": "ENABLED", "tidy": "ENABLED", "asleep": "DISABLED"}
    assert event_states(mariadb_tidy, ORIGINAL) == expected


def test_no_event_of_a_restore_test_runs(mariadb_tidy: MysqlServer, backup: Backup) -> None:
    taken = backup[0]
    options = RestoreRequest("covet_drill", options=("enable_events",))
    with engine_for(mariadb_tidy, "covet_drill").restore(
        options, taken.inventory, Silent()
    ) as session:
        fill(session, taken)
        assert differences(taken.inventory, session.inventory()) == []
        (scratch,) = (n for n in mariadb_tidy.databases() if n.startswith(PREFIX))
        assert set(event_states(mariadb_tidy, scratch).values()) == {"DISABLED"}
    assert scratch not in mariadb_tidy.databases()


def test_bodies_that_name_the_database_are_named_at_backup_and_before_a_restore(
    backup: Backup,
) -> None:
    taken = backup[0]
    acting, needing = taken.outcome.warnings
    assert all(name in acting for name in NAMING) and "harmless" not in acting
    assert f"{SHARED}.rate (view joined)" in needing
    assert f"{SHARED}.triple (view called)" in needing
    assert f"{SHARED}.numbers (a default of table numbered)" in needing
    assert f"{SHARED}.rate (a foreign key of table sale)" in needing
    before = references.acts_on_original(taken.inventory, "copy")
    assert all(name in before for name in NAMING)
    assert references.acts_on_original(taken.inventory, ORIGINAL) == ""


def test_a_missing_other_database_is_refused_before_anything_is_written(
    mariadb_tidy: MysqlServer, backup: Backup
) -> None:
    taken, copy = backup[0], fresh_name()
    mariadb_tidy.execute(SHARED, "RENAME TABLE rate TO elsewhere")
    before = mariadb_tidy.databases()
    try:
        with pytest.raises(BadSetting, match=rf"{SHARED}\.rate \(view joined\)") as caught:
            put_back(engine_for(mariadb_tidy, copy), taken, mariadb_tidy.url(copy))
    finally:
        mariadb_tidy.execute(SHARED, "RENAME TABLE elsewhere TO rate")
    assert "triple" not in caught.value.message
    assert "--table" in caught.value.hint
    assert mariadb_tidy.databases() == before


def test_events_run_if_asked_for_and_an_older_backup_names_bodies_too(
    mariadb_tidy: MysqlServer, backup: Backup
) -> None:
    """Of one that recorded no references they are found in what is restored."""
    taken, held = backup
    settings = dict(taken.inventory.settings or {})
    assert json.loads(settings.pop(references.SELF_REFERENCES)) == sorted(NAMING)
    del settings[references.DEPENDENCIES]
    inventory = replace(taken.inventory, settings=settings)
    older = Taken(taken.members, replace(taken.outcome, inventory=inventory))
    copy = fresh_name()
    engine = engine_for(mariadb_tidy, copy)
    (acting,), _ = restore_with_notes(engine, older, mariadb_tidy.url(copy), enable_events=True)
    assert all(name in acting for name in NAMING)
    assert contents(mariadb_tidy, copy) == held
    expected = {"nightly": "ENABLED", "tidy": "ENABLED", "asleep": "DISABLED"}
    assert event_states(mariadb_tidy, copy) == expected


def test_databases_that_change_places_read_their_own_tables(
    mariadb_tidy: MysqlServer, backup: Backup
) -> None:
    """The replaced one too, and again after it was swapped back."""
    taken, held = backup
    engine, url = engine_for(mariadb_tidy, ORIGINAL), mariadb_tidy.url(ORIGINAL)
    put_back(engine, taken, url)
    mariadb_tidy.execute(ORIGINAL, "UPDATE sale SET v = 1 WHERE id = 1")
    changed = contents(mariadb_tidy, ORIGINAL)
    notes, kept = restore_with_notes(engine, taken, url, replace=True)
    assert notes == []
    assert _held(mariadb_tidy, ORIGINAL) == held
    assert _held(mariadb_tidy, kept) == changed
    assert event_states(mariadb_tidy, ORIGINAL)["nightly"] == "ENABLED"
    another = partial(connect, settings_for(mariadb_tidy, ORIGINAL), mariadb_tidy.password)
    with another() as connection:
        swap.swap_databases(connection, another, target=ORIGINAL, incoming=kept, retained_as="copy")
    mariadb_tidy.execute(None, "DROP DATABASE copy")
    assert _held(mariadb_tidy, ORIGINAL) == changed
    assert event_states(mariadb_tidy, ORIGINAL)["nightly"] == "ENABLED"


def _held(server: MysqlServer, database: str) -> dict[str, str]:
    rows = contents(server, database).items()
    return {name: digest for name, digest in rows if not name.startswith("covet_")}


def test_in_place_of_a_database_of_another_name_no_event_acts_on_the_original(
    mariadb_tidy: MysqlServer, backup: Backup
) -> None:
    taken = backup[0]
    staging = create_database(mariadb_tidy)
    engine, url = engine_for(mariadb_tidy, staging), mariadb_tidy.url(staging)
    notes, _ = restore_with_notes(engine, taken, url, replace=True)
    expected = {"nightly": "DISABLED", "tidy": "ENABLED", "asleep": "DISABLED"}
    assert event_states(mariadb_tidy, staging) == expected
    assert any("events are disabled" in note and "nightly" in note for note in notes)


def test_an_event_whose_time_is_over_is_kept_disabled(
    mariadb_tidy: MysqlServer, mariadb_database: str
) -> None:
    """The server itself leaves it out without an error, and then one is missing."""
    schedules = {
        "once": "AT '2036-01-01'",
        "ending": "EVERY 1 SECOND STARTS '2036-01-01' ENDS '2036-01-02'",
        "coming": "AT '2037-01-01'",
    }
    for name, schedule in schedules.items():
        statement = f"CREATE EVENT {name} ON SCHEDULE {schedule} DO SET @a = 1"
        mariadb_tidy.execute(mariadb_database, statement)
    engine = engine_for(mariadb_tidy, mariadb_database)
    taken = take(engine)
    mariadb_tidy.execute(None, f"DROP DATABASE {mariadb_database}")
    events = taken.members["events.sql"].replace(b"'2036-", b"'2016-")
    older = Taken({**taken.members, "events.sql": events}, taken.outcome)
    notes, _ = restore_with_notes(engine, older, mariadb_tidy.url(mariadb_database))
    expected = {"once": "DISABLED", "ending": "DISABLED", "coming": "ENABLED"}
    assert event_states(mariadb_tidy, mariadb_database) == expected
    assert any("once" in note and "ending" in note for note in notes)


def test_options_of_the_database_come_back_and_change_places(mariadb_tidy: MysqlServer) -> None:
    options = "CHARACTER SET latin2 COLLATE latin2_hungarian_ci COMMENT 'it''s \\\\ 100% ☃'"
    database, copy = create_database(mariadb_tidy, options=options), fresh_name()
    shown = _options(mariadb_tidy, database)
    assert "hungarian" in shown and "☃" in shown
    taken = take(engine_for(mariadb_tidy, database))
    put_back(engine_for(mariadb_tidy, copy), taken, mariadb_tidy.url(copy))
    assert _options(mariadb_tidy, copy) == shown
    other = create_database(mariadb_tidy, options="COMMENT 'another'")
    before = _options(mariadb_tidy, other)
    engine, url = engine_for(mariadb_tidy, other), mariadb_tidy.url(other)
    _, kept = restore_with_notes(engine, taken, url, replace=True)
    assert _options(mariadb_tidy, other) == shown
    assert _options(mariadb_tidy, kept) == before


def _options(server: MysqlServer, database: str) -> str:
    ((name, statement),) = server.rows(None, f"SHOW CREATE DATABASE `{database}`")
    return str(statement).replace(f"`{name}`", "")


def test_functions_that_views_call_are_named_with_the_grants_that_a_backup_needs(
    mariadb_tidy: MysqlServer, mariadb_user: MakeUser
) -> None:
    """Of another database too; MariaDB's dump program would fail without a hint."""
    other, database = create_database(mariadb_tidy), create_database(mariadb_tidy)
    function = "FUNCTION f() RETURNS int DETERMINISTIC RETURN 1"
    mariadb_tidy.execute(other, f"CREATE {function}")
    mariadb_tidy.execute(
        database,
        f"CREATE {function}",
        "CREATE VIEW own AS SELECT f() AS i",
        f"CREATE VIEW others AS SELECT {other}.f() AS i",
    )
    rights = f"SELECT, SHOW VIEW, TRIGGER, EVENT ON {database}.*"
    user = mariadb_user(rights, "SELECT ON mysql.proc")
    engine = engine_for(mariadb_tidy, database, user)
    with pytest.raises(Unreadable, match="view others, view own") as caught:
        take(engine)
    grants = re.findall(r"GRANT .*?;", caught.value.hint)
    assert len(grants) == 2
    mariadb_tidy.execute(None, *grants)
    assert (take(engine).inventory.objects or {})["view"] == 2


def test_the_command_line_says_what_of_a_copy_acts_on_the_original(
    mariadb_tidy: MysqlServer, mariadb_database: str, tmp_path: Path
) -> None:
    """And enables its events only if that is asked for; a restore test says nothing of it."""
    name, cli = mariadb_database, command_line(tmp_path)
    event = f"ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01' DO DELETE FROM {name}.t"
    mariadb_tidy.execute(name, "CREATE TABLE t (i int)", f"CREATE EVENT nightly {event}")
    password = ("--password-file", cli.file("password", mariadb_tidy.password.reveal()))
    key = ("--key-file", "working.key")
    repository = cli.local_repository()
    made = cli.json("backup", mariadb_tidy.url(name), "--repo", repository, *key, *password)
    assert "event nightly" in str(made)
    copies = [fresh_name(), fresh_name()]
    options: list[tuple[str, ...]] = [(), ("--enable-events",)]
    for copy, option in zip(copies, options, strict=True):
        to = ("--as", mariadb_tidy.url(copy), *option)
        answer = cli.json("restore", repository, "latest", *key, *password, *to)
        assert "event nightly" in str(answer["warnings"])
    states = [event_states(mariadb_tidy, copy)["nightly"] for copy in copies]
    assert states == ["DISABLED", "ENABLED"]
    scratch = ("--level", "restore", "--scratch", mariadb_tidy.url(""))
    drill = cli.json("verify", repository, "latest", *key, *password, *scratch)
    assert drill["warnings"] == []


def test_directories_that_a_server_lacks_do_not_stop_a_restore(
    mariadb_tidy: MysqlServer, mariadb_database: str
) -> None:
    folder = mariadb_tidy.directory / "elsewhere"
    place = f"DATA DIRECTORY = '{folder}'"
    mariadb_tidy.execute(
        mariadb_database,
        f"CREATE TABLE t (i int COMMENT '{place.replace(chr(39), '')}') {place}",
        f"CREATE TABLE p (i int) PARTITION BY HASH (i) (PARTITION one {place}, PARTITION two)",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO p VALUES (2)",
    )
    taken = take(engine_for(mariadb_tidy, mariadb_database))
    held = contents(mariadb_tidy, mariadb_database)
    mariadb_tidy.execute(None, f"DROP DATABASE {mariadb_database}")
    engine, url = engine_for(mariadb_tidy, mariadb_database), mariadb_tidy.url(mariadb_database)
    (note,), _ = restore_with_notes(engine, taken, url)
    assert str(folder) in note
    assert contents(mariadb_tidy, mariadb_database) == held
    ((_, shown),) = mariadb_tidy.rows(mariadb_database, "SHOW CREATE TABLE t")
    assert shown.count("DATA DIRECTORY") == 1  # of the comment
