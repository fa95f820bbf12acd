"""What a page does when things are not as usual: sessions that end, other media, hostile names."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

from tests.browser.conftest import VisitorAs
from tests.browser.sample_dashboard import LivedIn
from tests.browser.samples import POLLING_NAME
from tests.browser.test_live_job import END, locked, start_backup, state
from tests.browser.test_restore_journey import fill_address
from tests.browser.user import PATIENCE, Visitor
from tests.support.postgres_server import PostgresServer

_MOVING = """() => [...document.querySelectorAll("*")].filter(element => {
  const style = getComputedStyle(element);
  return style.animationName !== "none" && style.animationDuration !== "0s"
    || style.transitionDuration !== "0s";
}).map(element => element.outerHTML.slice(0, 100))"""


def test_when_the_session_ends_a_followed_job_leads_to_sign_in(
    lived_in: LivedIn, owner_with: VisitorAs, postgres: PostgresServer
) -> None:
    owner = owner_with()
    with locked(postgres):
        job = start_backup(owner, lived_in)
        expect(state(owner)).to_contain_text("Running", timeout=END)
        owner.page.context.clear_cookies()
        assert job.strip("/").replace("/", "%2F") in owner.is_at(r"/sign-in/\?next=.*")
        assert owner.page.locator("form input[type=password]").count() == 1
        assert owner.page.locator("[id^=job-]").count() == 0
    # Until it has ended, no other test can start a backup of the same database.
    again = owner_with()
    again.open(job)
    expect(state(again)).to_contain_text("Succeeded", timeout=END)


def test_a_followed_job_that_is_gone_is_not_asked_for_again(
    lived_in: LivedIn, owner: Visitor, postgres: PostgresServer
) -> None:
    owner.allowed = "status of 404"
    tries: list[str] = []

    def gone_once(route: Route) -> None:
        tries.append(route.request.url)
        route.fulfill(status=404, body="gone") if len(tries) == 1 else route.continue_()

    with locked(postgres):
        start_backup(owner, lived_in)
        expect(state(owner)).to_contain_text("Running", timeout=END)
        with owner.sees_another_page(timeout=END):
            owner.page.route("**/live*", gone_once)
    expect(state(owner)).to_contain_text("Succeeded", timeout=END)


def test_while_a_job_runs_nothing_moves_for_those_who_asked_for_stillness(
    lived_in: LivedIn, owner: Visitor, postgres: PostgresServer
) -> None:
    with locked(postgres):
        start_backup(owner, lived_in)
        expect(state(owner)).to_contain_text("Running", timeout=END)
        assert owner.page.evaluate(_MOVING) == []
        owner.page.emulate_media(reduced_motion="no-preference")
        assert owner.page.evaluate(_MOVING) != []
        owner.page.emulate_media(reduced_motion="reduce")
        owner.open("/")
        assert "Back up Main server/shop" in owner.page.locator("#running").inner_text()
        assert owner.inaccessible() == []
    expect(owner.page.locator("#running")).to_contain_text("Nothing is running", timeout=2 * END)


def test_phases_are_told_aloud_in_the_place_that_stays(
    lived_in: LivedIn, owner: Visitor, postgres: PostgresServer
) -> None:
    with locked(postgres):
        start_backup(owner, lived_in)
        owner.page.evaluate("window.place = document.getElementById('live')")
        expect(owner.page.locator("#live")).to_contain_text(re.compile(r"^\w+"), timeout=END)
        assert owner.page.evaluate("window.place.isConnected")
        expect(state(owner)).to_contain_text("Running", timeout=END)
    expect(state(owner)).to_contain_text("Succeeded", timeout=END)


def test_on_paper_there_is_the_page_and_no_menu(lived_in: LivedIn, owner: Visitor) -> None:
    owner.open(f"/backups/{lived_in.backup}/")
    owner.page.emulate_media(media="print")
    for part in (".bar", ".nav", ".actions >> nth=0"):
        expect(owner.page.locator(part)).to_be_hidden()
    expect(owner.page.get_by_role("heading", level=1)).to_be_visible()
    expect(owner.page.get_by_text("Manifest SHA-256")).to_be_visible()
    assert owner.too_wide() == []


def test_with_forced_colours_states_keep_their_words_and_borders(
    lived_in: LivedIn, owner: Visitor
) -> None:
    owner.page.emulate_media(forced_colors="active")
    for path in ("/", "/backups/", "/jobs/", "/settings/"):
        owner.open(path)
        for badge in owner.page.locator(".badge").all():
            assert badge.inner_text().strip()
            style = badge.evaluate("element => getComputedStyle(element).borderTopWidth")
            assert style == "1px"


def test_markup_in_a_name_makes_no_request(lived_in: LivedIn, owner: Visitor) -> None:
    """Another host would be refused by the policy, and the console would tell of it too."""
    asked: list[str] = []
    owner.page.on("request", lambda request: asked.append(request.url))
    for path in ("/", "/databases/", f"/servers/{lived_in.server}/"):
        owner.open(path)
        assert POLLING_NAME in owner.page.locator("main").inner_text(), path
        owner.page.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith(owner.url)] == []
    assert owner.page.locator("main [hx-get*='evil']").count() == 0


def test_saving_a_server_with_a_wrong_password_says_so_and_stores_nothing(
    owner: Visitor, postgres: PostgresServer
) -> None:
    owner.allowed = "status of 422"
    owner.open("/servers/add/")
    fill_address(owner, postgres, name="Never stored", password="not the password")
    owner.button("Save and discover databases").click()
    problem = owner.page.locator("[data-error-summary]")
    expect(problem).to_contain_text("refuses the password", timeout=PATIENCE)
    expect(problem).to_be_focused()
    assert owner.button("Save without testing").count() == 0
    assert owner.inaccessible() == []
    owner.open("/servers/")
    assert "Never stored" not in owner.page.locator("main").inner_text()


def test_a_server_that_is_down_is_saved_by_a_second_click(
    owner: Visitor, postgres: PostgresServer
) -> None:
    owner.allowed = "status of 422"
    owner.open("/servers/add/")
    fill_address(owner, postgres, name="Down for now", password="anything")
    owner.page.get_by_label("Port").fill("1")
    owner.button("Test connection").click()
    owner.button("Save without testing").click()
    owner.is_at(r"/servers/\d+/")
    assert "without a test" in owner.notes()
