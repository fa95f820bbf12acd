"""A MariaDB server in the browser: added, backed up, restored; and rows of it that were lost."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import VisitorAs
from tests.browser.samples import ROWS, fill_mariadb
from tests.browser.test_add_journey import choose, confirm
from tests.browser.test_restore_journey import back_up, restore
from tests.browser.user import PATIENCE, Visitor
from tests.support.mariadb_server import MysqlServer, mariadb_installed, run_mariadb


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MysqlServer]:
    if not mariadb_installed():
        pytest.skip("no MariaDB server is installed")
    with run_mariadb() as server:
        yield server


def test_from_a_server_to_a_restored_database_and_to_rows_that_were_lost(
    owner_with: VisitorAs, mariadb: MysqlServer
) -> None:
    source = f"journey_{secrets.token_hex(3)}"
    fill_mariadb(mariadb, source)
    visitor = owner_with()
    visitor.allowed = "status of 422"
    add_server(visitor, mariadb, name=source)
    back_up(visitor, source)
    backup = visitor.page.url.removeprefix(visitor.url)
    copy = restore(visitor)
    assert rows_of(mariadb, copy) == ROWS

    mariadb.execute(source, "TRUNCATE orders")
    visitor.open(backup)
    choose(visitor, "orders", what="Data only, into existing tables")
    confirm(visitor, source)
    assert rows_of(mariadb, source) == ROWS


def rows_of(mariadb: MysqlServer, name: str) -> dict[str, int]:
    return {table: mariadb.rows(name, f"SELECT count(*) FROM {table}")[0][0] for table in ROWS}


def add_server(visitor: Visitor, mariadb: MysqlServer, *, name: str) -> None:
    visitor.open("/servers/")
    page = visitor.page
    page.get_by_role("link", name="Add a server").first.click()
    page.get_by_role("link", name="MySQL / MariaDB").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Host").fill("127.0.0.1")
    page.get_by_label("Port").fill(str(mariadb.port))
    page.get_by_label("User", exact=True).fill("root")
    page.get_by_label("Password").fill(mariadb.password.reveal())
    page.get_by_label("TLS mode").select_option("disable")
    visitor.button("Test connection").click()
    expect(page.locator("#probe")).to_contain_text("Connection successful", timeout=PATIENCE)
    visitor.button("Save and discover databases").click()
    visitor.is_at(r"/servers/\d+/")
