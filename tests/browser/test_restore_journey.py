"""From an empty dashboard's first server to a restored database, with and without JavaScript."""

from __future__ import annotations

import secrets

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.dashboard import Dashboard
from tests.browser.samples import ROWS, fill_postgres, rows_of
from tests.browser.user import PATIENCE, Visitor, sign_in, visit
from tests.support.postgres_server import PostgresServer


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no_scripts"])
def test_from_sign_in_to_a_restored_database(
    browser: Browser, dashboard: Dashboard, postgres: PostgresServer, scripts: bool
) -> None:
    source = f"journey_{secrets.token_hex(3)}"
    fill_postgres(postgres, source)
    with visit(browser, dashboard.url, scripts=scripts) as visitor:
        sign_in(visitor, "owner", dashboard.password)
        add_server(visitor, postgres, name=source)
        back_up(visitor, source)
        copy = restore(visitor)
    assert rows_of(postgres, copy) == ROWS


def add_server(visitor: Visitor, postgres: PostgresServer, *, name: str) -> None:
    """Of all that is on the server, only the database `name` is taken up."""
    visitor.open("/servers/")
    visitor.page.get_by_role("link", name="Add a server").first.click()
    fill_address(visitor, postgres, name=name, password=postgres.password.reveal())
    visitor.page.get_by_text("Advanced", exact=True).click()
    visitor.page.get_by_label("Include").fill(name)
    visitor.button("Test connection").click()
    expect(visitor.page.locator("#probe")).to_contain_text(
        "Connection successful", timeout=PATIENCE
    )
    # without scripts the page was loaded anew, and a password is never sent back
    visitor.page.get_by_label("Password").fill(postgres.password.reveal())
    visitor.button("Save and discover databases").click()
    visitor.is_at(r"/servers/\d+/")


def fill_address(visitor: Visitor, postgres: PostgresServer, *, name: str, password: str) -> None:
    page = visitor.page
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Host").fill("127.0.0.1")
    page.get_by_label("Port").fill(str(postgres.port))
    page.get_by_label("User", exact=True).fill("postgres")
    page.get_by_label("Password").fill(password)
    page.get_by_label("TLS mode").select_option("disable")


def back_up(visitor: Visitor, database: str) -> None:
    """Ends on the page of the backup."""
    visitor.page.get_by_role("link", name=database, exact=True).last.click()
    visitor.is_at(r"/databases/\d+/")
    visitor.button("Back up now").click()
    visitor.is_at(r"/jobs/\d+/")
    expect(visitor.page.locator("[id^=job-]")).to_contain_text("Succeeded", timeout=2 * PATIENCE)
    visitor.page.get_by_role("link", name="View backup", exact=True).click()
    visitor.is_at(r"/backups/[\w-]+/")


def restore(visitor: Visitor) -> str:
    """From the page of a backup to the result; gives the name of the new database."""
    visitor.page.get_by_role("link", name="Restore").last.click()
    visitor.is_at(r"/restores/new/[\w-]+/")
    copy = visitor.page.get_by_label("New database name").input_value()
    visitor.button("Run checks").click()
    visitor.button(f"Restore as {copy}").click()
    visitor.is_at(r"/restores/[\w-]+/")
    result = visitor.page.locator("#result")
    expect(result).to_contain_text("Rows compared", timeout=2 * PATIENCE)
    expect(result).to_contain_text(f"{sum(ROWS.values()):,} rows, all as in the backup")
    return copy
