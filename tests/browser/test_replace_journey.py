"""From a backup to a replaced database and back again, with and without JavaScript."""

from __future__ import annotations

import secrets

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.dashboard import Dashboard
from tests.browser.samples import ROWS, fill_postgres, rows_of
from tests.browser.test_restore_journey import add_server, back_up
from tests.browser.user import PATIENCE, Visitor, sign_in, visit
from tests.support.postgres_server import PostgresServer

FEW = {"customers": 300, "orders": 3}


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no_scripts"])
def test_a_database_is_replaced_and_swapped_back(
    browser: Browser, dashboard: Dashboard, postgres: PostgresServer, scripts: bool
) -> None:
    name = f"swapped_{secrets.token_hex(3)}"
    fill_postgres(postgres, name)
    with visit(browser, dashboard.url, scripts=scripts) as visitor:
        visitor.allowed = "status of 422"
        sign_in(visitor, "owner", dashboard.password)
        add_server(visitor, postgres, name=name)
        back_up(visitor, name)
        postgres.execute(name, f"DELETE FROM orders WHERE id > {FEW['orders']}")
        with postgres.connect(name):
            ask_for_the_replacement(visitor, name)
        result = visitor.page.locator("#result")
        expect(result).to_contain_text("Rows compared", timeout=4 * PATIENCE)
        assert rows_of(postgres, name) == ROWS
        swap_back(visitor, name)
    assert rows_of(postgres, name) == FEW


def ask_for_the_replacement(visitor: Visitor, name: str) -> None:
    """From the page of a backup; with a slip on the way."""
    visitor.page.get_by_role("link", name="Restore").last.click()
    visitor.page.get_by_role("link", name="Replace a database").click()
    assert visitor.page.get_by_label("Database to replace").input_value() == name
    visitor.button("Run checks").click()
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text(f"Ready to replace {name}")
    connected = visitor.page.get_by_role("region", name="Table of sessions")
    expect(connected).to_contain_text("postgres")
    expect(visitor.page.get_by_label("Take a safety backup first")).to_be_checked()
    typed = visitor.page.get_by_label("Database name")
    typed.fill(name.upper())
    visitor.button(f"Replace {name}").click()
    expect(visitor.page.locator(".errors").first).to_contain_text("The name that was typed")
    typed.fill(name)
    visitor.button(f"Replace {name}").click()
    visitor.is_at(r"/restores/[\w-]+/")


def swap_back(visitor: Visitor, name: str) -> None:
    """From the page of the restore."""
    visitor.page.reload()
    visitor.page.get_by_role("link", name="Revert").click()
    visitor.page.get_by_label("Database name").fill(name)
    visitor.button("Revert").click()
    visitor.is_at(r"/jobs/\d+/")
    expect(visitor.page.locator("[id^=job-]")).to_contain_text("Succeeded", timeout=2 * PATIENCE)
