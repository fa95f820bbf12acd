"""Of many tables some are found, chosen and restored, with and without JavaScript."""

from __future__ import annotations

import secrets

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.dashboard import Dashboard
from tests.browser.samples import HOSTILE_NAME
from tests.browser.test_restore_journey import add_server, back_up
from tests.browser.user import NARROW, PATIENCE, WIDE, Visitor, sign_in, visit
from tests.support.postgres_server import PostgresServer

TABLES = (
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
)


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no_scripts"])
def test_some_tables_of_many_are_restored(
    browser: Browser, dashboard: Dashboard, postgres: PostgresServer, scripts: bool
) -> None:
    source = f"many_{secrets.token_hex(3)}"
    fill(postgres, source)
    with visit(browser, dashboard.url, scripts=scripts) as visitor:
        sign_in(visitor, "owner", dashboard.password)
        add_server(visitor, postgres, name=source)
        back_up(visitor, source)
        visitor.page.get_by_role("link", name="Restore").last.click()
        copy = f"{source}_part"
        visitor.page.get_by_label("New database name").fill(copy)
        visitor.button("Select schemas and tables…").click()
        tick(visitor, "_137", HOSTILE_NAME)
        if scripts:
            assert looks_well(visitor) == []
        visitor.button("Continue").click()
        assert visitor.page.get_by_label("New database name").input_value() == copy
        visitor.button("Run checks").click()
        checks = visitor.page.locator(".checks")
        expect(checks).to_contain_text("2 of 201 tables")
        expect(checks).to_contain_text("part_137_kind_fkey")
        visitor.button(f"Restore as {copy}").click()
        result = visitor.page.locator("#result")
        expect(result).to_contain_text("2 of 201 tables with 6 rows", timeout=2 * PATIENCE)
    assert {name for (name,) in postgres.rows(copy, TABLES)} == {"part_137", HOSTILE_NAME}


def fill(server: PostgresServer, name: str) -> None:
    """201 tables: one with a hostile name, and those that refer to it."""
    server.create_database(name)
    server.execute(
        name,
        "CREATE TABLE kind (id int PRIMARY KEY)",
        f'CREATE TABLE "{HOSTILE_NAME.replace(chr(34), chr(34) * 2)}" AS SELECT 1 AS id',
        "DO $$ BEGIN FOR n IN 1..199 LOOP EXECUTE format("
        "'CREATE TABLE part_%s (id int, kind int REFERENCES kind)', n);"
        "EXECUTE format('INSERT INTO part_%s SELECT generate_series(1, 5)', n);"
        "END LOOP; END $$",
    )


def tick(visitor: Visitor, *names: str) -> None:
    """Search for each by the keyboard, tick it; the others stay ticked."""
    for name in names:
        visitor.page.get_by_label("Search by name").fill(name)
        visitor.page.keyboard.press("Enter")
        box = visitor.page.get_by_role("checkbox", name=name)
        expect(box).not_to_be_checked()
        box.focus()
        visitor.page.keyboard.press("Space")
    visitor.button("Search").click()
    for name in names:
        expect(visitor.page.get_by_role("checkbox", name=name)).to_be_checked()


def looks_well(visitor: Visitor) -> list[str]:
    found = visitor.inaccessible()
    for width, height in (NARROW, WIDE):
        visitor.page.set_viewport_size({"width": width, "height": height})
        found += visitor.too_wide()
    return found
