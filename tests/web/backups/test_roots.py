"""Folders of SQLite files lie where the installation allows it, by whatever way they are named."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import override_settings
from django.urls import reverse

from backups.discovery import discover
from backups.engine_factory import engine_on
from backups.models import Database, Repository, Server
from backups.roots import check_folder
from covetbackup.access.models import Team, User
from covetbackup.core.errors import BadSetting
from tests.web.catalog import make_file
from tests.web.conftest import ClientOf
from tests.web.factories import make_server
from tests.web.restores_helper import asked, plan_for, taken

pytest_plugins = ["tests.web.catalog_fixtures"]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """The only folder that is allowed."""
    folder = tmp_path / "allowed"
    (folder / "shop").mkdir(parents=True)
    with override_settings(SQLITE_ROOTS=[folder]):
        yield folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    make_file(folder / "shop.db")
    return folder


def findings() -> list[str]:
    return [f"{found.id} {found.msg} {found.hint}" for found in run_checks(tags=["servers"])]


def test_a_root_and_what_is_below_it_may_be_registered(root: Path, tmp_path: Path) -> None:
    check_folder(root)
    check_folder(root / "shop")
    (tmp_path / "other-name").symlink_to(root)
    check_folder(tmp_path / "other-name" / "shop")


def test_links_and_neighbours_do_not_lead_out_of_a_root(root: Path, outside: Path) -> None:
    (root / "link").symlink_to(outside)
    (root / "loop").symlink_to(root / "loop")
    neighbour = root.with_name("allowed-too")
    for folder in (outside, root / "link", root / "loop", neighbour, Path("/etc"), root.parent):
        with pytest.raises(BadSetting):
            check_folder(folder)


def test_the_folder_of_the_catalog_holds_no_database_of_a_team() -> None:
    with pytest.raises(BadSetting, match="own files"):
        check_folder(settings.VAR_DIR)
    for name in ("static", "static/css", "authorities"):
        with pytest.raises(BadSetting, match="own files"):
            check_folder(settings.VAR_DIR / name)
    check_folder(settings.VAR_DIR / "sample" / "sqlite")


def test_nothing_is_read_or_restored_among_the_backups_of_a_repository(
    repository: Repository, team: Team, vault: Path
) -> None:
    inside = vault / "first" / "b"
    for folder in (vault / "first", inside):
        with pytest.raises(BadSetting, match="in a repository"):
            check_folder(folder)
    check_folder(vault)
    make_server(team, name="inside", folder=str(inside))
    (vault / "loop").symlink_to(vault / "loop")
    make_server(team, name="loop", folder=str(vault / "loop"))
    found = findings()
    assert "is in a repository" in found[0] and "COVET_SQLITE_ROOTS" not in "".join(found)


def test_page_and_command_refuse_a_folder_outside_and_say_what_is_allowed(
    client_of: ClientOf, admin: User, team: Team, vault: Path, root: Path, outside: Path
) -> None:
    anna = client_of(admin)
    address = reverse("server-add") + "?kind=sqlite"
    assert f"or below: {root}" in anna.get(address).content.decode()
    answers = {"team": str(team.pk), "name": "files", "folder": str(outside), "queue": "jobs"}
    answer = anna.post(address, answers)
    assert answer.status_code == 422
    assert "set COVET_SQLITE_ROOTS" in answer.content.decode()
    said = StringIO()
    with pytest.raises(SystemExit):
        call_command("add_server", f"sqlite:///{outside}", "--name", "files", stderr=said)
    assert "set COVET_SQLITE_ROOTS" in said.getvalue()
    assert not Server.objects.exists()
    make_file(root / "shop" / "shop.db")
    assert anna.post(address, answers | {"folder": f"{root}/shop"}).status_code == 302


def test_a_server_that_was_registered_outside_is_named_and_not_touched(
    team: Team, root: Path, outside: Path
) -> None:
    server = make_server(team, name="old files", folder=str(outside))
    make_server(team, name="new files", folder=str(root / "shop"))
    make_server(team, name="same files", folder=str(outside))
    found = findings()
    assert len(found) == 2 and "covetbackup.W010 server old files" in found[0]
    assert f"set COVET_SQLITE_ROOTS={root},{outside}" in found[0]
    with pytest.raises(BadSetting, match="not below"):
        discover(server)
    server.refresh_from_db()
    assert "not below" in server.problem
    with pytest.raises(BadSetting, match="not below"):
        engine_on(server, "shop.db")
    with override_settings(SQLITE_ROOTS=[root, outside]):
        assert findings() == []
        assert discover(server).added == ("shop.db",)


def test_nothing_is_restored_outside_of_the_roots(
    repository: object, shop: Database, team: Team, outside: Path
) -> None:
    backup = taken(shop)
    other = make_server(team, folder=str(outside))
    with override_settings(SQLITE_ROOTS=[Path(shop.server.folder)]):
        with pytest.raises(BadSetting, match="not below"):
            asked(plan_for(backup, server=other))
        assert asked(plan_for(backup, name="copy.db"))
    assert {path.name for path in outside.iterdir()} == {"shop.db"}


def test_a_root_that_is_not_there_is_said(root: Path) -> None:
    shutil.rmtree(root)
    (found,) = findings()
    assert found.startswith("covetbackup.W009") and str(root) in found
