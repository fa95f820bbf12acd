"""A job while it runs: a lock in its database keeps it busy for as long as a test wants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, expect

from tests.browser.conftest import VisitorAs
from tests.browser.sample_dashboard import LivedIn
from tests.browser.user import PATIENCE, Visitor
from tests.support.postgres_server import PostgresServer

END = 2 * PATIENCE


@contextmanager
def locked(postgres: PostgresServer, table: str = "orders") -> Iterator[None]:
    """Nobody can dump the shop meanwhile."""
    with postgres.connect("shop") as connection, connection.transaction():
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")  # type: ignore[arg-type]
        yield


def start_backup(visitor: Visitor, world: LivedIn) -> str:
    """Ask for a backup of the shop; gives the path of its job, whose page is open."""
    visitor.open(f"/servers/{world.server}/")
    visitor.page.get_by_role("link", name="shop", exact=True).click()
    visitor.button("Back up now").click()
    return visitor.is_at(r"/jobs/\d+/")


def state(visitor: Visitor) -> Locator:
    return visitor.page.locator("[id^=job-] h2")


def cancel(visitor: Visitor, job: str) -> None:
    """Cancel the open job and see it cancelled, so that nothing ends it in another way first."""
    visitor.page.get_by_role("link", name="Cancel job…").click()
    visitor.is_at(job + "cancel")
    visitor.button("Cancel job").click()
    expect(state(visitor)).to_contain_text("Cancelled", timeout=END)
    assert visitor.is_at(job) == job


def test_a_running_job_is_followed_to_its_end_and_then_left_alone(
    lived_in: LivedIn, owner: Visitor, postgres: PostgresServer
) -> None:
    polls: list[str] = []
    owner.page.on("request", lambda request: polls.append(request.url))
    with locked(postgres):
        start_backup(owner, lived_in)
        expect(state(owner)).to_contain_text("Running", timeout=END)
        expect(owner.page.locator("progress")).to_be_visible()
        assert owner.heading().endswith("in progress")  # opened when it still waited
        assert owner.inaccessible() == []
    expect(state(owner)).to_contain_text("Succeeded", timeout=END)
    assert [url for url in polls if "/live" in url] != []
    expect(owner.page.get_by_role("heading", level=1)).to_contain_text("succeeded")
    owner.page.wait_for_load_state()
    polls.clear()
    owner.page.wait_for_timeout(2500)
    assert polls == []


def test_the_focus_stays_where_it_is_while_a_job_is_polled(
    lived_in: LivedIn, owner: Visitor, postgres: PostgresServer
) -> None:
    with locked(postgres):
        job = start_backup(owner, lived_in)
        expect(state(owner)).to_contain_text("Running", timeout=END)
        owner.page.get_by_role("link", name="Cancel job…").focus()
        before = state(owner).inner_text()
        expect(state(owner)).not_to_have_text(before, timeout=END)
        expect(owner.page.get_by_role("link", name="Cancel job…")).to_be_focused()
        cancel(owner, job)


def test_a_job_is_cancelled_while_its_database_keeps_it_waiting(
    lived_in: LivedIn, owner: Visitor, postgres: PostgresServer
) -> None:
    with locked(postgres):
        job = start_backup(owner, lived_in)
        expect(state(owner)).to_contain_text("Running", timeout=END)
        cancel(owner, job)
        expect(owner.page.get_by_role("heading", level=1)).to_contain_text("was cancelled")
        assert owner.page.get_by_role("link", name="Cancel job…").count() == 0
    owner.page.get_by_role("link", name="View backup", exact=True).click()
    owner.is_at(r"/backups/[\w-]+/")
    assert "was cancelled" in owner.heading()
    assert owner.page.get_by_role("link", name="Restore…").count() == 0


def test_while_one_backup_waits_another_click_asks_for_no_second(
    lived_in: LivedIn, owner: Visitor, postgres: PostgresServer
) -> None:
    with locked(postgres):
        running = start_backup(owner, lived_in)
        expect(state(owner)).to_contain_text("Running", timeout=END)
        waiting = start_backup(owner, lived_in)
        owner.page.go_back()
        owner.button("Back up now").click()
        owner.is_at(r"/databases/\d+/")
        assert "already" in owner.notes()
        for job in (waiting, running):
            owner.open(job)
            cancel(owner, job)


def test_polls_recover_after_the_connection_was_lost(
    lived_in: LivedIn, owner_with: VisitorAs, postgres: PostgresServer
) -> None:
    owner = owner_with()
    owner.allowed = "ERR_INTERNET_DISCONNECTED|Failed to fetch"
    banner = owner.page.locator("#connection")
    with locked(postgres):
        start_backup(owner, lived_in)
        expect(state(owner)).to_contain_text("Running", timeout=END)
        owner.page.context.set_offline(True)
        expect(banner).to_be_visible()
        owner.page.context.set_offline(False)
        expect(banner).to_be_hidden()
    expect(state(owner)).to_contain_text("Succeeded", timeout=END)
