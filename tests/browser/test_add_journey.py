"""Rows that were lost come back into the database that lives, and a table beside the living one."""

from __future__ import annotations

import re
import secrets

from playwright.sync_api import Browser, expect

from tests.browser.dashboard import Dashboard
from tests.browser.samples import ROWS, fill_postgres, rows_of
from tests.browser.test_restore_journey import add_server, back_up
from tests.browser.test_select_journey import looks_well
from tests.browser.user import PATIENCE, Visitor, sign_in, visit
from tests.support.postgres_server import PostgresServer


def test_lost_rows_and_a_table_of_before_go_into_the_database_that_lives(
    browser: Browser, dashboard: Dashboard, postgres: PostgresServer
) -> None:
    name = f"added_{secrets.token_hex(3)}"
    fill_postgres(postgres, name)
    with visit(browser, dashboard.url) as visitor:
        visitor.allowed = "status of 422"
        sign_in(visitor, "owner", dashboard.password)
        add_server(visitor, postgres, name=name)
        back_up(visitor, name)
        backup = visitor.page.url.removeprefix(visitor.url)
        postgres.execute(name, "TRUNCATE orders")
        choose(visitor, "public.orders", what="Data only, into existing tables")
        confirm(visitor, name)
        assert rows_of(postgres, name) == ROWS

        visitor.open(backup)
        choose(visitor, "public.orders", what="Structure and data")
        visitor.button("Restore into existing database…").click()
        visitor.page.get_by_label("Rename schema public to").fill("as_of_today")
        confirm(visitor, name)
    here = postgres.rows(name, "SELECT count(*) FROM as_of_today.orders")
    assert here == [(ROWS["orders"],)]
    assert rows_of(postgres, name) == ROWS


def choose(visitor: Visitor, table: str, *, what: str) -> None:
    """From the page of a backup."""
    visitor.page.get_by_role("link", name="Restore").last.click()
    visitor.button("Select schemas and tables…").click()
    visitor.page.get_by_role("checkbox", name=table).check()
    visitor.page.get_by_label(what).check()
    visitor.button("Continue").click()


def confirm(visitor: Visitor, name: str) -> None:
    """From the page that asks which database, with a slip on the way, to the result."""
    assert visitor.page.get_by_label("Target database").input_value() == name
    visitor.button("Run checks").click()
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text(
        f"Ready to restore into {name}"
    )
    assert looks_well(visitor) == []
    typed = visitor.page.get_by_label("Database name")
    typed.fill(name.upper())
    visitor.button(f"Restore into {name}").click()
    expect(visitor.page.locator(".errors").first).to_contain_text("The name that was typed")
    visitor.page.get_by_label("Take a safety backup first").uncheck()
    typed.fill(name)
    visitor.button(f"Restore into {name}").click()
    visitor.is_at(r"/restores/[\w-]+/")
    result = visitor.page.locator("#result")
    expect(result).to_contain_text(re.compile("Rows (compared|added)"), timeout=2 * PATIENCE)
