"""What pages gain from scripts and what they must not lose: theme, focus, reasons, sentences."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import VisitorAs
from tests.browser.dashboard import Dashboard
from tests.browser.sample_dashboard import LivedIn
from tests.browser.test_restore_journey import fill_address
from tests.browser.user import PATIENCE, Visitor, sign_in, visit
from tests.support.postgres_server import PostgresServer

GROUND = "getComputedStyle(document.body).backgroundColor"


def test_a_chosen_theme_lasts_and_needs_no_script_to_show(owner_with: VisitorAs) -> None:
    owner = owner_with(scheme="light")
    owner.open("/")
    light = owner.page.evaluate(GROUND)
    toggle = owner.page.locator("[data-theme-toggle]")
    while toggle.get_attribute("aria-label") != "Theme: dark":
        toggle.click()
    dark = owner.page.evaluate(GROUND)
    owner.open("/jobs/")
    assert (owner.page.evaluate(GROUND), dark != light) == (dark, True)
    state = owner.page.context.storage_state()
    browser = owner.page.context.browser
    assert browser is not None
    with visit(browser, owner.url, state=state, scripts=False) as plain:
        plain.open("/")
        assert plain.page.locator("html").get_attribute("data-theme") == "dark"


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no_scripts"])
def test_a_wrong_password_for_a_server_is_told_in_a_sentence(
    owner_with: VisitorAs, postgres: PostgresServer, scripts: bool
) -> None:
    owner = owner_with(scripts=scripts)
    owner.open("/servers/add/")
    fill_address(owner, postgres, name="Mistyped", password="not the password")
    owner.button("Test connection").click()
    expect(owner.page.locator("#probe")).to_contain_text(
        "password authentication failed", timeout=PATIENCE
    )
    assert "not the password" not in owner.page.content()
    if scripts:
        assert owner.inaccessible() == []
    owner.open("/servers/")
    assert "Mistyped" not in owner.page.locator("main").inner_text()


def test_the_summary_of_mistakes_gets_the_focus(owner: Visitor) -> None:
    owner.allowed = "status of 422"
    owner.open("/servers/add/?kind=sqlite")
    owner.page.get_by_label("Name", exact=True).fill("Nowhere")
    owner.page.get_by_label("Folder").fill("relative/folder")
    owner.button("Save and discover databases").click()
    expect(owner.page.locator("[data-error-summary]")).to_be_focused(timeout=PATIENCE)
    assert owner.inaccessible() == []


def test_a_viewer_sees_why_buttons_are_not_for_him(
    browser: Browser, dashboard: Dashboard, lived_in: LivedIn, owner: Visitor
) -> None:
    link = invite(owner, "vera", "viewer")
    with visit(browser, dashboard.url) as viewer:
        accept(viewer, link, "vera")
        viewer.open(f"/backups/{lived_in.backup}/")
        for label in ("Restore", "Verify now"):
            button = viewer.page.locator("[aria-disabled=true]", has_text=label).first
            expect(button).to_have_attribute(
                "title", re.compile("a team member who is operator or higher")
            )
            assert viewer.inaccessible() == []
        assert viewer.page.get_by_role("link", name="Restore…").count() == 0
        viewer.allowed = "status of 403"
        assert viewer.open(f"/restores/new/{lived_in.backup}/").status == 403
        assert viewer.open("/servers/add/").status == 403
        assert viewer.inaccessible() == []


def test_the_first_press_of_tab_offers_to_skip_the_menu(owner: Visitor) -> None:
    owner.open("/")
    owner.page.keyboard.press("Tab")
    expect(owner.page.get_by_text("Skip to the content")).to_be_focused()
    owner.page.keyboard.press("Enter")
    expect(owner.page.locator("main")).to_be_focused()


def test_everything_that_gets_the_focus_shows_it_and_is_not_covered(
    lived_in: LivedIn, owner: Visitor
) -> None:
    owner.open(f"/servers/{lived_in.server}/")
    seen = set()
    for _ in range(60):
        owner.page.keyboard.press("Tab")
        tag, text, outline, on_top = owner.page.evaluate(_FOCUS)
        if tag == "BODY":
            break
        seen.add(tag)
        assert (outline, on_top) == (True, True), f"{tag} {text}"
    assert {"A", "BUTTON"} <= seen


_FOCUS = """() => {
  const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at);
  const x = box.x + Math.min(box.width, 20) / 2, y = box.y + box.height / 2;
  const top = document.elementFromPoint(x, y);
  return [at.tagName, at.innerText, style.outlineStyle !== "none" || style.boxShadow !== "none",
    at === document.body || at.contains(top) || (top !== null && top.contains(at))];
}"""


@pytest.mark.parametrize("has_clipboard", [True, False], ids=["https", "plain_http"])
def test_copying_works_without_the_clipboard_of_https_and_says_so(
    owner: Visitor, has_clipboard: bool
) -> None:
    if has_clipboard:
        owner.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    else:
        owner.page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: null})")
    owner.open("/jobs/")
    owner.page.evaluate("document.addEventListener('copy', () => (window.copied = true))")
    owner.page.get_by_text("Same from the command line").click()
    button = owner.page.locator("[data-copy]")
    button.click()
    expect(button).to_have_text("Copied")
    expect(button).to_be_focused()
    if has_clipboard:
        told = owner.page.evaluate("navigator.clipboard.readText()")
        assert told == owner.page.locator("#command-0").inner_text()
    else:
        assert owner.page.evaluate("window.copied") is True
    expect(button).to_have_text("Copy", timeout=PATIENCE)


def test_the_table_chooser_counts_what_is_ticked(lived_in: LivedIn, owner: Visitor) -> None:
    owner.open(f"/restores/new/{lived_in.backup}/choose/")
    told, boxes = (
        owner.page.locator("[data-selection-limit]"),
        owner.page.locator("input[name=pick]"),
    )
    expect(told).to_have_text("Nothing selected.")
    boxes.nth(1).check()
    boxes.nth(2).check()
    expect(told).to_contain_text("2 selected")
    boxes.nth(1).uncheck()
    boxes.nth(2).uncheck()
    expect(told).to_have_text("Nothing selected.")


def test_removing_a_member_asks_first_without_scripts_too(owner_with: VisitorAs) -> None:
    owner = owner_with(scripts=False)
    invite(owner, "leaver", "viewer")
    owner.open("/team/")
    owner.page.get_by_role("row", name="leaver").get_by_role("link", name="Remove").click()
    owner.is_at(r"/team/member/\d+/remove/")
    assert owner.heading() == "Remove leaver from Operations?"
    owner.button("Remove member").click()
    owner.is_at("/team/")
    assert owner.page.get_by_role("row", name="leaver").count() == 0


def invite(owner: Visitor, name: str, role: str) -> str:
    """The link that an owner gives to somebody new."""
    owner.open("/team/1/invite/")
    owner.page.get_by_label("User name").fill(name)
    owner.page.get_by_label("Email address").fill(f"{name}@example.org")
    owner.page.get_by_label("Role").select_option(role)
    owner.button("Create invite link").click()
    return owner.page.locator("#invitation").inner_text()


def accept(visitor: Visitor, link: str, name: str) -> None:
    """Choose a password behind the link of an invitation, and sign in."""
    password = "a long enough phrase"
    visitor.page.goto(link)
    for field in visitor.page.locator("input[type=password]").all():
        field.fill(password)
    visitor.button("Save password").click()
    visitor.is_at("/sign-in/")
    sign_in(visitor, name, password)
