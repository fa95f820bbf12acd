"""Accounts that a database needs come back where they are missing, and only if asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from covetbackup.core.databases.mysql.replace import publish
from covetbackup.core.databases.mysql.server import accounts
from covetbackup.core.databases.mysql.server.connection import connect
from tests.support.mariadb import MakeUser, MysqlServer, create_database
from tests.support.mariadb_backup import Taken, engine_for, fresh_name, put_back, settings_for, take
from tests.support.postgres_backup import Notes

SOURCE = "with_accounts"
PASSWORD = "it's a `secret`; yes"
_ACCOUNTS = (
    f"CREATE USER app@'%' IDENTIFIED BY '{PASSWORD.replace(chr(39), chr(39) * 2)}'",
    "CREATE USER viewer@'10.%'",
    "CREATE USER passer@'%' IDENTIFIED BY 'x'",
    "CREATE ROLE readers",
    f"GRANT SELECT, INSERT ON {SOURCE}.* TO app@'%'",
    "GRANT PROCESS ON *.* TO app@'%'",
    f"GRANT UPDATE (i) ON {SOURCE}.t TO readers",
    "GRANT readers TO app@'%'",
    "GRANT SELECT ON mysql.* TO passer@'%'",
    f"CREATE DEFINER = viewer@'10.%' VIEW {SOURCE}.v AS SELECT 1 AS one",
)
_DROPPED = "DROP USER app@'%', viewer@'10.%', passer@'%'"


@pytest.fixture
def taken(mariadb_tidy: MysqlServer) -> Iterator[Taken]:
    """A backup whose accounts are gone from the server since."""
    create_database(mariadb_tidy, SOURCE)
    mariadb_tidy.execute(SOURCE, "CREATE TABLE t (i int)", "INSERT INTO t VALUES (7)", *_ACCOUNTS)
    taken = take(engine_for(mariadb_tidy, SOURCE))
    mariadb_tidy.execute(None, _DROPPED, "DROP ROLE readers")
    yield taken
    mariadb_tidy.execute(None, "DROP ROLE IF EXISTS readers")


def restored(server: MysqlServer, taken: Taken, **extra: object) -> tuple[str, list[str]]:
    copy, notes = fresh_name(), Notes()
    put_back(engine_for(server, SOURCE), taken, server.url(copy), progress=notes, **extra)
    return copy, notes.lines


def created(server: MysqlServer, script: str, *, definers: tuple[str, ...] = ()) -> list[str]:
    with connect(settings_for(server, ""), server.password) as connection:
        return accounts.create_missing(
            connection, script, original="shop", target="copy", definers=definers
        )


def users(server: MysqlServer) -> set[str]:
    return {user for (user,) in server.rows(None, "SELECT User FROM mysql.user")}


def test_those_that_are_missing_are_created_with_their_rights_on_the_copy(
    mariadb_tidy: MysqlServer, taken: Taken
) -> None:
    copy, lines = restored(mariadb_tidy, taken, create_roles=True)
    assert users(mariadb_tidy) >= {"app", "viewer", "readers"}
    assert "passer" not in users(mariadb_tidy)  # it has no rights on the database
    with pymysql.connect(
        host="127.0.0.1", port=mariadb_tidy.port, user="app", password=PASSWORD, database=copy
    ) as app, app.cursor() as cursor:  # fmt: skip
        cursor.execute("SET ROLE readers")
        cursor.execute("UPDATE t SET i = i + 1")
        cursor.execute("SELECT i FROM t")
        assert cursor.fetchone() == (8,)
        cursor.execute("SHOW DATABASES")
        assert {name for (name,) in cursor.fetchall()} == {copy, "information_schema"}
    assert "account app@% was created" in lines
    assert any("app@% has 1 more grants" in line for line in lines)
    assert not any("*" in line and "IDENTIFIED" in line for line in lines)


def test_without_being_asked_nothing_is_created(mariadb_tidy: MysqlServer, taken: Taken) -> None:
    _, lines = restored(mariadb_tidy, taken)
    assert users(mariadb_tidy).isdisjoint({"app", "viewer", "readers"})
    assert any("viewer@10.%" in line and "will fail when used" in line for line in lines)


def test_what_exists_stays_as_it_is(mariadb_tidy: MysqlServer, taken: Taken) -> None:
    mariadb_tidy.execute(None, "CREATE USER app@'%' IDENTIFIED BY 'another'")
    before = mariadb_tidy.rows(None, "SHOW GRANTS FOR app@'%'")
    _, lines = restored(mariadb_tidy, taken, create_roles=True)
    assert mariadb_tidy.rows(None, "SHOW GRANTS FOR app@'%'") == before
    assert not any("account app@%" in line for line in lines)


@pytest.mark.parametrize(
    "clause",
    ["VIA no_such_plugin USING 'a-very-long-secret'", "BY PASSWORD NONSENSE 'a-very-long-secret'"],
)
def test_a_statement_that_fails_is_told_by_its_account_and_without_its_secret(
    mariadb_tidy: MysqlServer, clause: str
) -> None:
    script = (
        f"-- A comment; with 'quotes\nCREATE USER `odd`@`%` IDENTIFIED {clause};\n"
        "GRANT SELECT ON `shop`.* TO `odd`@`%`;\n"
    )
    lines = created(mariadb_tidy, script, definers=("gone@nowhere",))
    assert any(line.startswith("account odd@% was not created") for line in lines)
    assert "odd" not in users(mariadb_tidy)  # its grants could make it, without a password
    assert any("gone@nowhere" in line for line in lines)
    assert "secret" not in "".join(lines)


def test_a_restore_that_cannot_create_accounts_any_more_has_restored_all_the_same(
    mariadb_tidy: MysqlServer,
    taken: Taken,
    mariadb_user: MakeUser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user, copy, notes = mariadb_user("ALL ON *.*"), fresh_name(), Notes()
    finish = publish.complete_target

    def finish_and_lock(*args: Any) -> None:
        finish(*args)
        mariadb_tidy.execute(None, f"ALTER USER {user.name}@'%' ACCOUNT LOCK")

    monkeypatch.setattr(publish, "complete_target", finish_and_lock)
    engine = engine_for(mariadb_tidy, SOURCE, user)
    target = mariadb_tidy.url(copy, user.name)
    put_back(engine, taken, target, progress=notes, create_roles=True)
    assert mariadb_tidy.rows(copy, "SELECT i FROM t") == [(7,)]
    assert any(
        line.startswith("accounts that are missing were not created") for line in notes.lines
    )


def test_a_role_that_exists_is_given_to_nobody(mariadb_tidy: MysqlServer, taken: Taken) -> None:
    """Here it may do what the role of that name in the backup might not."""
    mariadb_tidy.execute(None, "CREATE ROLE readers", "GRANT ALL ON *.* TO readers")
    _, lines = restored(mariadb_tidy, taken, create_roles=True)
    given = "SELECT User FROM mysql.roles_mapping WHERE Role = 'readers' AND User <> 'root'"
    assert "app" in users(mariadb_tidy)
    assert mariadb_tidy.rows(None, given) == []
    assert any("app@% has 2 more grants" in line for line in lines)


def test_roles_come_with_their_defaults_and_without_the_right_to_give_them(
    mariadb_tidy: MysqlServer, taken: Taken
) -> None:
    script = (
        "CREATE ROLE 'readers';\nCREATE ROLE 'others';\nCREATE USER `app`@`%`;\n"
        "GRANT SELECT ON `shop`.* TO `readers`;\nGRANT SELECT ON `shop`.* TO `app`@`%`;\n"
        "GRANT `readers`,`others` TO `app`@`%` WITH ADMIN OPTION;\n"
        "SET DEFAULT ROLE `readers` FOR `app`@`%`;\n"
    )
    lines = created(mariadb_tidy, script)
    mariadb_tidy.execute(None, "DROP ROLE others")
    assert lines == [f"account {name} was created" for name in ("readers", "others", "app@%")]
    given = "SELECT Role, Admin_option FROM mysql.roles_mapping WHERE User = 'app'"
    assert mariadb_tidy.rows(None, given) == [("readers", "N")]
    default = "SELECT default_role FROM mysql.user WHERE User = 'app'"
    assert mariadb_tidy.rows(None, default) == [("readers",)]


def test_only_a_grant_on_a_whole_database_names_it_by_a_pattern() -> None:
    script = (
        "CREATE USER `app`@`%`;\nGRANT SELECT ON `sh_p`.* TO `app`@`%`;\n"
        "GRANT INSERT ON `sh_p`.`t` TO `app`@`%`;\nGRANT UPDATE ON `shop`.`t` TO `app`@`%`;\n"
        "GRANT EXECUTE ON FUNCTION `sh%`.`f` TO `app`@`%`;\n"
    )
    account = accounts.read_accounts(script, "shop", "a_copy")["app@%"]
    assert account.grants == [
        r"GRANT SELECT ON `a\_copy`.* TO `app`@`%`",
        "GRANT UPDATE ON `a_copy`.`t` TO `app`@`%`",
    ]
    assert account.other_grants == 2
