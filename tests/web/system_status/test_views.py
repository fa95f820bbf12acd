"""The page of settings: what is in force, what is wrong, and no secret."""

from __future__ import annotations

import socket
import tomllib
import uuid
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from backups.timeout import run_with_timeout
from covetbackup import checks
from covetbackup.access.models import Team, User
from covetbackup.core.databases.mysql.server.clients import MysqlClients as MysqlClients
from covetbackup.core.databases.mysql.server.flavour import version_of
from covetbackup.core.databases.programs import Program
from covetbackup.core.errors import Conflict
from covetbackup.env import Environment
from covetbackup.jobs import broker
from covetbackup.jobs.models import Node
from covetbackup.system_status import components, disk, programs
from covetbackup.system_status.workers import worker_issues, workers
from tests.support.paths import ROOT
from tests.web.conftest import ClientOf
from tests.web.factories import make_server

pytest_plugins = ["tests.web.catalog_fixtures"]


@pytest.fixture
def node() -> Node:
    now = timezone.now()
    return Node.objects.create(
        instance=uuid.uuid4(),
        host="worker-1",
        queue="jobs",
        pid=4711,
        version="0.1.0",
        capacity=4,
        started_at=now,
        heartbeat_at=now,
        ticked_at=now,
    )


def page(client_of: ClientOf, user: User) -> str:
    return client_of(user).get(reverse("settings")).content.decode()


def test_a_sound_installation_says_so_and_shows_all_its_parts(
    client_of: ClientOf, admin: User, vault: Path, node: Node
) -> None:
    text = page(client_of, admin)
    for word in ("worker-1", "SQLite", str(settings.VAR_DIR), "COVET_WORKERS", "psycopg", "Apache"):
        assert word in text, word
    assert "no worker serves" not in text and "secrets are locked" not in text


def test_what_the_checks_find_is_shown_with_its_hint(
    client_of: ClientOf, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SITE_URL", "ftp://nowhere")
    text = page(client_of, owner)
    assert "covetbackup.E005" in text and "Give the scheme and host that browsers use" in text


@pytest.mark.parametrize("is_full", [True, False], ids=["lets nobody in", "never speaks"])
def test_a_broker_that_does_not_answer_is_not_waited_for_as_by_who_needs_it(
    is_full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "CONNECT_SECONDS", 60.0)
    with ExitStack() as opened:
        silent = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = silent.getsockname()[1]
        if is_full:  # by the one that waits to be let in
            opened.enter_context(socket.create_connection(("127.0.0.1", port)))
        monkeypatch.setattr(settings, "BROKER_URL", f"redis://127.0.0.1:{port}/0")
        (message,) = run_with_timeout(8, checks.check_broker, late=Conflict("it is waited for"))
    assert message.id == "covetbackup.W008"


def test_secrets_that_are_locked_and_a_queue_without_a_worker_are_troubles(
    client_of: ClientOf, owner: User, team: Team, node: Node
) -> None:
    make_server(team, queue="branch-office")
    text = page(client_of, owner)
    assert "The secrets are locked" in text
    assert "queue &#x27;branch-office&#x27;" in text and "worker --queue branch-office" in text
    assert "queue &#x27;jobs&#x27;" not in text


def test_a_worker_that_was_not_heard_of_serves_nothing(node: Node) -> None:
    now = timezone.now()
    assert [worker.state for worker in workers(now)] == ["alive"]
    later = now + timedelta(minutes=2)
    assert [worker.state for worker in workers(later)] == ["silent"]
    assert [issue.tone for issue in worker_issues(workers(later))] == ["bad"]
    Node.objects.update(is_draining=True)
    assert [worker.state for worker in workers(now)] == ["draining"]


@pytest.mark.parametrize("found", [[], None])
def test_programs_that_are_missing_or_too_old_come_with_what_to_install(
    found: Any, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_server(team, version="99.1 (Debian 99.1-1)")
    if found is not None:
        monkeypatch.setattr(
            "covetbackup.core.databases.postgresql.engine.find_clients", lambda: found
        )
    assert [one.hint for one in programs.programs_here()[1]] == ["apt install postgresql-client-99"]


def test_missing_programs_of_a_mysql_flavour_are_told_once(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        make_server(team, name=f"m{number}", kind="mysql", version=f"8.4.{number}")
    mariadb = MysqlClients("/x/mariadb-dump", "/x/mariadb", version_of("10.11.4-MariaDB"))
    monkeypatch.setattr("covetbackup.core.databases.mysql.engine.find_clients", lambda: [mariadb])
    shown, issues = programs.programs_here()
    assert Program("mariadb-dump, mariadb", "MariaDB 10.11.4", "/x") in shown
    assert len([one for one in issues if "client programs of MySQL" in one.text]) == 1


def test_a_folder_that_is_missing_or_full_is_a_trouble(tmp_path: Path) -> None:
    full = disk.Folder("x", tmp_path, is_writable=True, total=1000, free=10)
    fine = disk.Folder("x", tmp_path, is_writable=True, total=1000, free=500)
    gone = disk.Folder("x", tmp_path / "gone", is_writable=False)
    assert [one.tone for one in disk.folder_issues([full, fine, gone])] == ["warn", "bad"]
    assert (full.used_percent, gone.used_percent) == (99, None)


@pytest.mark.parametrize(
    "value",
    [
        "postgresql://me:hunter2@db/catalog",
        "redis://:hunter2@cache:6379/0",
        "postgresql://me@db/catalog?password=hunter2&sslmode=require",
        "rediss://user:hun:ter2@cache",
    ],
)
def test_no_password_is_in_what_is_shown_of_a_variable(value: str) -> None:
    environment = Environment({"DATABASE_URL": value, "COVET_BROKER_URL": value})
    environment.text("COVET_BROKER_URL")
    environment.catalog("DATABASE_URL", Path("/none"))
    shown = [variable.value for variable in environment.variables() if variable.is_set]
    assert len(shown) >= 2 and "ter2" not in str(shown) and "…" in shown[0]


def test_every_variable_is_explained_in_the_docs() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    own = [one.name for one in settings.ENV.variables() if one.name != "Q_CLUSTER_NAME"]
    assert [name for name in own if f"`{name}`" not in page] == []


def test_every_package_that_the_product_stands_on_is_named_with_its_licence() -> None:
    found = {part.name: part for part in components.components()}
    assert {"django", "psycopg", "cryptography", "htmx"} <= found.keys()
    assert [name for name, part in found.items() if not (part.licence and part.version)] == []


def test_the_versions_of_shipped_files_are_those_that_are_shipped() -> None:
    shipped = {part.name: part.version for part in components.SHIPPED}
    vendored = tomllib.loads((ROOT / "static/js/vendor/VENDOR.toml").read_text())
    assert shipped["htmx"] in {entry["version"] for entry in vendored.values()}
    assert f"Lucide icons {shipped['Lucide icons']}" in (ROOT / "static/icons.svg").read_text()
