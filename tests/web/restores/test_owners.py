"""How long the name of whoever shall own what is restored may be, on each kind of server."""

from __future__ import annotations

import pytest

from backups.models import Server
from covetbackup.access.models import Team, User
from covetbackup.core.errors import BadSetting
from restores.forms.target import TargetForm
from restores.targets import validate
from tests.web.factories import make_backup_row, make_database, make_repository_row, make_server
from tests.web.restores_helper import asked, plan_for

LONGEST = f"{'ü' * 32}@{'h' * 255}"


def form_of(server: Server, operator: User, role: str) -> TargetForm:
    backup = make_backup_row(make_database(server), repository=make_repository_row(server.team))
    copy = backup.copies.get()
    given = {"server": server.pk, "name": "copy", "repository": copy.repository_id}
    given |= {"owner": "role", "role": role, "jobs": 1}
    return TargetForm(given, backup=backup, user=operator)


@pytest.mark.parametrize(
    ("kind", "role", "is_fine"),
    [
        ("mysql", LONGEST, True),
        ("mysql", f"{'u' * 129}@%", False),
        ("mysql", f"u@{'h' * 256}", False),
        ("postgresql", "r" * 63, True),
        ("postgresql", "ü" * 32, False),
    ],
)
def test_an_owner_is_as_long_as_its_server_lets_it_be(
    kind: str, role: str, is_fine: bool, team: Team, operator: User
) -> None:
    form = form_of(make_server(team, kind=kind), operator, role)
    assert form.is_valid() is is_fine
    assert ("role" in form.errors) is not is_fine


def test_the_longest_account_of_mysql_is_kept(team: Team, operator: User) -> None:
    form = form_of(make_server(team, kind="mysql", port=1), operator, LONGEST)
    assert form.is_valid(), form.errors
    restore = asked(form.restore, operator)
    restore.refresh_from_db()
    assert restore.request.owner == LONGEST


def test_a_command_is_refused_a_role_that_is_too_long(team: Team) -> None:
    backup = make_backup_row(make_database(make_server(team)), repository=make_repository_row(team))
    with pytest.raises(BadSetting, match="longer than 63 bytes"):
        validate(plan_for(backup, "copy", owner="r" * 64))
