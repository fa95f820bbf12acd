"""A person with a browser window. Whatever the browser complains of is a fault of the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Dialog,
    Locator,
    Page,
    Request,
    Response,
    expect,
)

AXE = (Path(__file__).parents[1] / "vendor/axe-4.14.1.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDE, NARROW = (1440, 900), (390, 844)
PATIENCE = 30_000
"""Milliseconds for anything to appear. A test machine may be busy with other tests."""

_NOTE_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""
_AXE_RUN = """async (tags) => (await axe.run(document, {runOnly: tags})).violations
  .flatMap(rule => rule.nodes.map(node => `${rule.id} at ${node.target}: ${node.failureSummary}`))
"""
_TOO_WIDE = """() => {
  const room = document.documentElement.clientWidth, wide = document.documentElement.scrollWidth;
  if (wide <= room) return [];
  const isContained = (element) => element !== document.body &&
    (getComputedStyle(element).overflowX !== "visible" || isContained(element.parentElement));
  return [...document.body.querySelectorAll("*")]
    .filter(element => element.getBoundingClientRect().right > room + 1)
    .filter(element => !isContained(element.parentElement))
    .map(element => `${element.outerHTML.slice(0, 120)} in ${element.parentElement.tagName}`)
    .slice(0, 5).concat(`it is ${wide} wide`);
}"""


@dataclass(eq=False)
class Visitor:
    """`faults`: console errors and warnings, exceptions, violations of the policy, lost requests,
    dialogs.

    A refused form is an answer with status 422, of which the browser tells the console as well:
    `allowed` is for tests that make mistakes on purpose.
    """

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)
    allowed: str = ""

    def open(self, path: str) -> Response:
        answer = self.page.goto(self.url + path)
        assert answer is not None
        return answer

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def heading(self) -> str:
        return self.page.get_by_role("heading", level=1).inner_text()

    def notes(self) -> str:
        """What the page says about what was just done, or why not."""
        return "\n".join(self.page.locator(".notice, .errors").all_inner_texts())

    def is_at(self, pattern: str) -> str:
        """Wait for an address whose path matches, and for its page; gives the path.

        The address is looked at again and again. `Page.wait_for_url` fails as soon as one going
        away overtakes another: when two polls are both sent to the sign-in, for one.
        """
        address = re.compile(re.escape(self.url) + pattern + "$")
        expect(self.page).to_have_url(address, timeout=PATIENCE)
        self.page.wait_for_load_state()
        return self.page.url.removeprefix(self.url)

    @contextmanager
    def sees_another_page(self, timeout: int) -> Iterator[None]:
        """Wait at the end until the window shows another document, at whatever address."""
        self.page.evaluate("document.documentElement.dataset.old = ''")
        yield
        expect(self.page.locator("html[data-old]")).to_have_count(0, timeout=timeout)
        self.page.wait_for_load_state()

    def inaccessible(self) -> list[str]:
        """What axe has to say about the page as it is now."""
        found: list[str] = self.page.evaluate(_AXE_RUN, RULES)
        return found

    def too_wide(self) -> list[str]:
        """What makes the page scroll sideways."""
        found: list[str] = self.page.evaluate(_TOO_WIDE)
        return found

    def watch(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self._note(f"exception: {error}"))
        self.page.on("requestfailed", self._on_lost_request)
        self.page.on("dialog", self._on_dialog)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._note(f"console: {message.text} ({message.location.get('url')})")

    def _on_lost_request(self, request: Request) -> None:
        # leaving a page ends its polls; that is not a fault
        if "ERR_ABORTED" not in (request.failure or ""):
            self._note(f"no answer: {request.url} {request.failure}")

    def _on_dialog(self, dialog: Dialog) -> None:
        self._note(f"a script of somebody opened a dialog: {dialog.message}")
        dialog.dismiss()

    def _note(self, fault: str) -> None:
        if not (self.allowed and re.search(self.allowed, fault)):
            self.faults.append(fault)


@contextmanager
def visit(
    browser: Browser,
    url: str,
    *,
    state: Any = None,
    scheme: str = "light",
    size: tuple[int, int] = WIDE,
    scripts: bool = True,
) -> Iterator[Visitor]:
    """A window of its own; `state` is that of somebody who signed in. Faults fail the test."""
    context = browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": size[0], "height": size[1]},
        java_script_enabled=scripts,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="Europe/Berlin",
        storage_state=state,
    )
    context.set_default_timeout(PATIENCE)
    if scripts:
        context.add_init_script(script=_NOTE_VIOLATIONS)
        context.add_init_script(script=AXE)
    try:
        visitor = Visitor(context.new_page(), url)
        visitor.watch()
        yield visitor
    finally:
        context.close()
    assert not visitor.faults, "\n".join(visitor.faults)


def sign_in(visitor: Visitor, name: str, password: str) -> None:
    visitor.open("/sign-in/")
    visitor.page.get_by_label("User name").fill(name)
    visitor.page.get_by_label("Password").fill(password)
    visitor.button("Sign in").click()
    visitor.is_at("/")
