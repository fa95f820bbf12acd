"""One dashboard, one PostgreSQL server and one browser for all browser tests.

They last as long as this package's tests and no longer: Playwright keeps an event loop running,
in which Django refuses to talk to a database, as the tests of other packages do.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.dashboard import Dashboard, run_dashboard
from tests.browser.sample_dashboard import LivedIn, live_in
from tests.browser.user import PATIENCE, Visitor, sign_in, visit
from tests.support.postgres_server import PostgresServer, postgres_binaries, run_server

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
VisitorAs = Callable[..., Visitor]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    found = [os.environ.get("CHROMIUM"), *map(shutil.which, CHROMIUM_NAMES)]
    chromium = next(filter(None, found), None)
    if chromium is None:
        pytest.skip("no chromium is installed")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def postgres() -> Iterator[PostgresServer]:
    installed = postgres_binaries()
    if not installed:
        pytest.skip("no PostgreSQL server is installed")
    with run_server(installed[-1]) as server:
        yield server


@pytest.fixture(scope="package")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with run_dashboard(tmp_path_factory.mktemp("var")) as running:
        yield running


@pytest.fixture(scope="package")
def owner_state(browser: Browser, dashboard: Dashboard) -> Any:
    """What a browser keeps of the owner's sign-in: one for all, since guessing is slowed down."""
    with visit(browser, dashboard.url) as visitor:
        sign_in(visitor, "owner", dashboard.password)
        return visitor.page.context.storage_state()


@pytest.fixture(scope="package")
def lived_in(dashboard: Dashboard, postgres: PostgresServer) -> LivedIn:
    """The dashboard with servers, backups, a restore and a failure to look at."""
    folder = dashboard.var / "tills"  # below the folder that may hold SQLite databases
    folder.mkdir()
    return live_in(dashboard, postgres, folder)


@pytest.fixture
def owner_with(browser: Browser, dashboard: Dashboard, owner_state: Any) -> Iterator[VisitorAs]:
    """Opens windows of the owner: `owner_with(scheme="dark", scripts=False)`."""
    with ExitStack() as windows:
        yield lambda **how: windows.enter_context(
            visit(browser, dashboard.url, state=owner_state, **how)
        )


@pytest.fixture
def owner(owner_with: VisitorAs) -> Visitor:
    return owner_with()
