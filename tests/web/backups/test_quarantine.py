"""A copied catalog runs no job until an owner says that it is the successor of its original; the
dashboard's own catalog is never what a restore replaces."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db.models.functions import Now
from django.urls import reverse

from backups import quarantine
from backups.catalog_location import location_of_catalog
from backups.models import Installation
from backups.probing import try_server
from covetbackup.access.models import Team, User
from covetbackup.audit.models import AuditEntry
from covetbackup.core.databases.checks import Level
from covetbackup.core.databases.location import is_same_location
from covetbackup.core.databases.postgresql.server.location import location_text
from covetbackup.core.databases.sqlite.server.location import location_of
from covetbackup.core.errors import Conflict
from covetbackup.jobs import dispatch, queue
from covetbackup.jobs.models import Node
from covetbackup.jobs.worker.cluster import Worker
from restores import preflight, target_server
from restores.target_server import refuse_catalog
from tests.support.postgres import PostgresRole, PostgresServer
from tests.web.catalog import postgres_at
from tests.web.conftest import ClientOf
from tests.web.factories import make_database, make_job
from tests.web.replacements import confirmed, replacement
from tests.web.restores_helper import actor, run, taken

pytest_plugins = ["tests.web.catalog_fixtures"]

ELSEWHERE = "file:1:1"
BANNER = "This catalog is a copy and in quarantine"


@pytest.fixture
def copied(vault: Path) -> None:
    """The catalog says of itself that it was written in another place."""
    Installation.objects.update(place=ELSEWHERE)


@pytest.fixture
def node() -> uuid.UUID:
    row = Node.objects.create(
        instance=uuid.uuid4(), host="here", queue="jobs", pid=1, version="1", capacity=4,
        started_at=Now(), heartbeat_at=Now(),
    )  # fmt: skip
    return row.pk


def test_a_copied_file_lies_elsewhere_and_a_renamed_one_where_it_was(tmp_path: Path) -> None:
    path, copy = tmp_path / "catalog", tmp_path / "copy"
    path.write_bytes(b"rows")
    was = location_of(path)
    shutil.copy2(path, copy)
    assert not is_same_location(location_of(copy), was)
    (tmp_path / "link").symlink_to(path)
    assert is_same_location(location_of(tmp_path / "link"), was)
    assert is_same_location(location_of(path.rename(tmp_path / "renamed")), was)
    os.replace(copy, tmp_path / "renamed")  # an older state, put back
    assert not is_same_location(location_of(tmp_path / "renamed"), was)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("file:7:100", "file:7:100", True),
        ("file:7:100", "file:7:101", False),
        ("file:7:100", "file:8:100", True),
        ("file:7:", "file:8:100", False),
        ("file:7:", "file:7:100", True),
        ("postgresql:5:9", "postgresql:5:9", True),
        ("postgresql:5:9", "postgresql:6:9", False),
        ("postgresql:5:9", "postgresql:5:8", False),
        ("postgresql:5:9", "file:5:9", False),
        ("none", "file:7:100", False),
        ("none", "none", False),
        ("file:7:100", "", False),
    ],
)
def test_places_are_compared_as_far_as_both_are_known(one: str, other: str, same: bool) -> None:
    assert is_same_location(one, other) is is_same_location(other, one) is same


def test_a_new_and_an_upgraded_catalog_run_jobs(vault: Path, team: Team) -> None:
    assert Installation.objects.get().place == location_of_catalog() != ""
    Installation.objects.update(place="")
    assert not quarantine.is_quarantined()
    quarantine.adopt()
    assert Installation.objects.get().place == location_of_catalog()
    Installation.objects.update(place=ELSEWHERE)
    quarantine.adopt()
    assert quarantine.is_quarantined()
    Installation.objects.all().delete()
    assert not quarantine.is_quarantined()


def test_in_quarantine_no_job_is_asked_for_started_reaped_or_ticked(
    copied: None, team: Team, node: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(team, kind="delete", run_after=Now())
    with pytest.raises(Conflict, match="quarantine"):
        queue.enqueue("backup", team=team, title="x", argument={})
    assert queue.claim(job.pk, node, 1) is None
    place = dispatch.queue_position(job)
    assert place is not None and "quarantine" in place.blocked_by
    worker, ticks = Worker(), []
    monkeypatch.setattr(worker.ticker, "tick", lambda: bool(ticks.append("tick")) or True)
    monkeypatch.setattr(worker.ticker, "reap_here", lambda: bool(ticks.append("reap")) or True)
    worker.tick()
    assert worker.refusal == quarantine.REASON and ticks == []
    quarantine.end(actor(None))
    worker.tick()
    assert ticks == ["tick"]
    assert queue.claim(job.pk, node, 1) is not None


def test_every_page_says_it_and_only_an_owner_who_typed_the_password_ends_it(
    copied: None, client_of: ClientOf, admin: User, owner: User, viewer: User
) -> None:
    address = reverse("settings-quarantine")
    for user in (viewer, admin, owner):
        for name in ("overview", "jobs", "backups"):
            assert BANNER in client_of(user).get(reverse(name)).content.decode()
    assert client_of(admin).post(address).status_code == 403
    client = client_of(owner)
    session = client.session
    session.pop("authenticated_at", None)
    session.save()
    assert 'name="reauthentication_password"' in client.post(address).content.decode()
    assert quarantine.is_quarantined()
    client = client_of(owner)
    assert "0 jobs will continue" in client.get(address).content.decode()
    assert client.post(address).url == reverse("settings")
    assert not quarantine.is_quarantined()
    assert BANNER not in client.get(reverse("overview")).content.decode()
    entry = AuditEntry.objects.latest("sequence")
    assert (entry.action, entry.user) == ("catalog.successor", owner)
    assert entry.details == {"was": ELSEWHERE, "is": location_of_catalog()}


def test_the_command_says_ends_and_begins_it(copied: None) -> None:
    said = StringIO()
    call_command("quarantine", stdout=said)
    assert quarantine.REASON in said.getvalue()
    [found] = run_checks(tags=["catalog"])
    assert found.id == "covetbackup.W011" and "--end" in str(found.hint)
    call_command("quarantine", "--end", stdout=said)
    assert not quarantine.is_quarantined() and run_checks(tags=["catalog"]) == []
    with pytest.raises(SystemExit):
        call_command("quarantine", "--end", stdout=said, stderr=said)
    assert "not in quarantine" in said.getvalue()
    call_command("quarantine", "--begin", stdout=said)
    assert quarantine.is_quarantined()
    actions = AuditEntry.objects.order_by("sequence").values_list("action", flat=True)
    assert list(actions) == ["catalog.successor", "catalog.quarantine"]


def catalog_at(server: PostgresServer, name: str) -> str:
    """Its place, as if it were the catalog."""
    places = "SELECT oid, system_identifier FROM pg_database, pg_control_system()"
    query = f"{places} WHERE datname = '{name}'"
    [(oid, system)] = server.rows("postgres", query)
    return location_text(oid, system)


def test_the_own_catalog_on_a_server_is_known_whatever_the_role_may_read(
    team: Team,
    vault: Path,
    postgres_tidy: PostgresServer,
    postgres_database: str,
    postgres_role: Callable[..., PostgresRole],
) -> None:
    catalog = catalog_at(postgres_tidy, postgres_database)
    postgres_tidy.execute("postgres", f"REVOKE CONNECT ON DATABASE {postgres_database} FROM PUBLIC")
    server = postgres_at(team, postgres_tidy, postgres_role("CREATEDB"))
    with pytest.raises(Conflict, match="catalog of this dashboard"):
        refuse_catalog(server, postgres_database, catalog)
    refuse_catalog(server, "postgres", catalog)
    refuse_catalog(server, "nowhere", catalog)
    refuse_catalog(server, postgres_database, f"{catalog}0")
    refuse_catalog(server, postgres_database, location_of_catalog())
    postgres_tidy.execute("postgres", f"ALTER DATABASE {postgres_database} RENAME TO renamed")
    with pytest.raises(Conflict):
        refuse_catalog(server, "renamed", catalog)


def test_the_own_catalog_is_backed_up_and_never_replaced(
    repository: object,
    team: Team,
    postgres_tidy: PostgresServer,
    postgres_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    postgres_tidy.execute(postgres_database, "CREATE TABLE item AS SELECT 1 AS id")
    server = postgres_at(team, postgres_tidy)
    backup = taken(make_database(server, name=postgres_database))
    catalog = catalog_at(postgres_tidy, postgres_database)
    monkeypatch.setattr("backups.probing.location_of_catalog", lambda: catalog)
    titles = [finding.title for finding in try_server(server).checks]
    assert f"{postgres_database} is the catalog of this dashboard" in titles
    monkeypatch.setattr(preflight, "location_of_catalog", lambda: catalog)
    monkeypatch.setattr(target_server, "location_of_catalog", lambda: catalog)
    [refused] = [one for one in preflight.preflight(replacement(backup)) if one.level is Level.FAIL]
    assert refused.title == "Name" and "rebuild_catalog" in refused.fix
    restore = confirmed(replacement(backup))
    before = postgres_tidy.databases()
    with pytest.raises(Conflict, match="catalog of this dashboard"):
        run(restore)
    assert postgres_tidy.databases() == before
