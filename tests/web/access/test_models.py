"""The fixtures themselves: what the other tests of the dashboard rely on."""

from __future__ import annotations

from pathlib import Path

from django.core.management import call_command

from covetbackup.access.models import Team, User
from covetbackup.access.roles import Permission, Role
from tests.web.conftest import ClientOf
from tests.web.factories import (
    make_backup_row,
    make_database,
    make_job,
    make_repository_row,
    make_restore,
    make_server,
)


def test_the_project_has_no_complaints() -> None:
    call_command("check", fail_level="ERROR")
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_a_test_leaves_nothing_behind(team: Team) -> None:
    assert list(Team.objects.all()) == [team]


def test_a_test_that_commits_leaves_nothing_behind(committed_catalog: Path, team: Team) -> None:
    assert list(Team.objects.all()) == [team]


def test_every_factory_makes_a_row_that_its_team_sees(
    team: Team, viewer: User, stranger: User
) -> None:
    server = make_server(team)
    repository = make_repository_row(team)
    backup = make_backup_row(make_database(server), repository=repository)
    rows = [server, repository, backup.database, backup]
    rows += [make_job(team, state="running"), make_restore(backup, server)]
    for row in rows:
        assert type(row).objects.visible_to(viewer).get() == row
        assert not type(row).objects.visible_to(stranger).exists()


def test_each_role_may_what_the_table_says(team: Team, operator: User, stranger: User) -> None:
    assert operator.may(Permission.RUN_BACKUP, team.pk)
    assert not operator.may(Permission.DELETE_BACKUP, team.pk)
    assert not stranger.may(Permission.VIEW, team.pk)
    assert operator.roles == {team.pk: Role.OPERATOR}


def test_a_client_is_signed_in(client_of: ClientOf, viewer: User) -> None:
    assert client_of(viewer).get("/healthz").wsgi_request.user == viewer
