"""Every page, light and dark, wide and narrow: nothing for axe, for the console, for scrolling."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.browser.dashboard import Dashboard
from tests.browser.lived_in import LivedIn
from tests.browser.pages import SIGNED_OUT, pages_of, shape
from tests.browser.visitor import NARROW, WIDE, Visitor, visit

SMALLEST = (320, 700)
LOOKS = [(scheme, size) for scheme in ("light", "dark") for size in (WIDE, NARROW)]
TWO_LOOKS = [("light", WIDE), ("dark", NARROW)]
NOT_PAGES = {"/jobs/N/log", "/audit/export.csv"}


def test_no_page_has_a_fault_a_barrier_or_a_sideways_scroll(
    lived_in: LivedIn, owner: Visitor
) -> None:
    owner.allowed = "status of 404"
    assert _faults(owner, pages_of(lived_in), TWO_LOOKS) == {}


@pytest.mark.slow
def test_no_page_has_a_fault_in_any_look(lived_in: LivedIn, owner: Visitor) -> None:
    owner.allowed = "status of 404"
    assert _faults(owner, pages_of(lived_in), LOOKS) == {}


def test_nor_have_the_pages_before_sign_in(browser: Browser, dashboard: Dashboard) -> None:
    with visit(browser, dashboard.url) as stranger:
        assert _faults(stranger, SIGNED_OUT, LOOKS) == {}


def test_no_link_leads_to_a_page_that_is_not_looked_at(lived_in: LivedIn, owner: Visitor) -> None:
    owner.allowed = "status of 404"
    pages = pages_of(lived_in)
    known = {shape(path) for path in pages.values()} | NOT_PAGES
    unknown = {
        (name, shape(link))
        for name, path in pages.items()
        for link in _links(owner, path)
        if shape(link) not in known and not link.startswith("/admin/")
    }
    assert unknown == set()


def test_every_page_has_a_title_of_its_own_and_one_heading(
    lived_in: LivedIn, owner: Visitor
) -> None:
    owner.allowed = "status of 404"
    headings = {}
    for name, path in pages_of(lived_in).items():
        owner.open(path)
        assert owner.page.title() not in ("", " · CovetBackup"), name
        headings[name] = owner.page.locator("h1").count()
    assert {name: count for name, count in headings.items() if count != 1} == {}


def test_a_hostile_name_is_text_on_every_page_that_shows_it(
    lived_in: LivedIn, owner: Visitor
) -> None:
    for path in ("/databases/", "/backups/", "/jobs/", f"/servers/{lived_in.server}/"):
        owner.open(path)
        assert "<script>alert" in owner.page.locator("main").inner_text(), path


def _faults(
    visitor: Visitor, pages: dict[str, str], looks: list[tuple[str, tuple[int, int]]]
) -> dict[str, list[str]]:
    found = {}
    for name, path in pages.items():
        visitor.open(path)
        faults = [
            f"{scheme} {size[0]}: {fault}"
            for scheme, size in looks
            for fault in _faults_of_look(visitor, scheme, size)
        ]
        visitor.page.set_viewport_size({"width": SMALLEST[0], "height": SMALLEST[1]})
        faults += [f"{SMALLEST[0]}: {fault}" for fault in visitor.too_wide()]
        if faults:
            found[name] = faults
    return found


def _faults_of_look(visitor: Visitor, scheme: str, size: tuple[int, int]) -> list[str]:
    visitor.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    visitor.page.set_viewport_size({"width": size[0], "height": size[1]})
    return visitor.inaccessible() + visitor.too_wide()


def _links(visitor: Visitor, path: str) -> list[str]:
    visitor.open(path)
    links: list[str] = visitor.page.evaluate(
        """() => [...document.querySelectorAll("a[href]")]
          .filter(link => link.origin === location.origin).map(link => link.pathname)"""
    )
    return links
