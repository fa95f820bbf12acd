"""Every page, light and dark, wide and narrow: nothing for axe, for the console, for scrolling."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.dashboard import Dashboard
from tests.browser.pages import REFUSALS, SIGNED_OUT, pages_of, shape
from tests.browser.sample_dashboard import LivedIn
from tests.browser.user import NARROW, WIDE, Visitor, visit

Look = tuple[str, tuple[int, int]]

SMALLEST = (320, 700)
LOOKS: list[Look] = [(scheme, size) for scheme in ("light", "dark") for size in (WIDE, NARROW)]
NOT_PAGES = {"/jobs/N/log", "/audit/export.csv"}


def test_no_page_has_a_barrier_a_fault_or_a_dead_end(lived_in: LivedIn, owner: Visitor) -> None:
    """Each in one of the four looks, by turns: axe takes its time."""
    owner.allowed = REFUSALS
    pages = pages_of(lived_in)
    known = {shape(path) for path in pages.values()} | NOT_PAGES
    looks = itertools.cycle(LOOKS)
    found: list[str] = []
    titles: dict[str, str] = {}
    for name, path in pages.items():
        owner.open(path)
        twin = titles.setdefault(owner.page.title(), name)
        found += [] if _same_page(name, twin) else [f"{name} has the title of {twin}"]
        faults = [*_faults_of(owner, [next(looks)]), *_shortcomings(owner, known)]
        found += [f"{name}: {fault}" for fault in faults]
    assert not found, "\n".join(found)


@pytest.mark.slow
def test_no_page_has_a_barrier_or_a_fault_in_any_look(lived_in: LivedIn, owner: Visitor) -> None:
    owner.allowed = REFUSALS
    found = _faults_of_all(owner, pages_of(lived_in))
    assert not found, "\n".join(found)


def test_nor_have_the_pages_before_sign_in(browser: Browser, dashboard: Dashboard) -> None:
    with visit(browser, dashboard.url) as stranger:
        found = _faults_of_all(stranger, SIGNED_OUT)
    assert not found, "\n".join(found)


def test_a_hostile_name_is_text_on_every_page_that_shows_it(
    lived_in: LivedIn, owner: Visitor
) -> None:
    for path in ("/databases/", "/backups/", "/jobs/", f"/servers/{lived_in.server}/"):
        owner.open(path)
        assert "<script>alert" in owner.page.locator("main").inner_text(), path


def _faults_of_all(visitor: Visitor, pages: dict[str, str]) -> list[str]:
    found = []
    for name, path in pages.items():
        visitor.open(path)
        found += [f"{name}: {fault}" for fault in _faults_of(visitor, LOOKS)]
    return found


def _faults_of(visitor: Visitor, looks: list[Look]) -> Iterator[str]:
    for scheme, size in looks:
        visitor.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        _resize(visitor, size)
        yield from (f"{scheme} {size[0]}: {fault}" for fault in visitor.inaccessible())
    for size in (WIDE, NARROW, SMALLEST):
        _resize(visitor, size)
        yield from (f"{size[0]}: {fault}" for fault in visitor.too_wide())


def _same_page(name: str, other: str) -> bool:
    """Whether both are states of one page, such as "jobs" and "jobs-none"."""
    return name.startswith(other) or other.startswith(name.partition("-")[0])


def _shortcomings(visitor: Visitor, known: set[str]) -> Iterator[str]:
    """A title or a heading that says nothing, links to pages that nobody looks at here."""
    if visitor.page.title().startswith(" ·"):
        yield "it has no title"
    if visitor.page.locator("h1").count() != 1:
        yield "it has not one main heading"
    if visitor.page.locator("html[lang]").count() != 1:
        yield "it names no language"
    if len(visitor.heading()) < 4:
        yield "its heading says nothing"
    for link in _links(visitor):
        if shape(link) not in known and not link.startswith("/admin/"):
            yield f"it leads to {link}, which is not looked at"


def _links(visitor: Visitor) -> list[str]:
    links: list[str] = visitor.page.evaluate(
        """() => [...document.querySelectorAll("a[href]")]
          .filter(link => link.origin === location.origin).map(link => link.pathname)"""
    )
    return links


def _resize(visitor: Visitor, size: tuple[int, int]) -> None:
    visitor.page.set_viewport_size({"width": size[0], "height": size[1]})
