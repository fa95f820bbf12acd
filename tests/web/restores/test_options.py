"""What can be chosen further for a restore: on the pages, on the command line, kept with it."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.urls import reverse

from covetbackup.access.models import Team, User
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.errors import BadSetting, SinkFailed
from restores.forms.target import TargetForm
from restores.models import Restore
from restores.result import summary_of
from restores.targets import validate
from tests.support.postgres import PostgresServer
from tests.web.catalog import postgres_at
from tests.web.conftest import ClientOf
from tests.web.factories import make_backup_row, make_database, make_repository_row, make_server
from tests.web.restores_helper import asked, plan_for, run, taken

pytest_plugins = ["tests.web.catalog_fixtures"]

# Refused to the restoring session: the function looks at its application name.
REFUSED = """
CREATE TABLE t AS SELECT 1 AS id;
CREATE FUNCTION picky(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN IF current_setting(''application_name'') LIKE ''covetbackup%'' THEN
   RAISE ''not for you''; END IF; RETURN 1; END';
CREATE INDEX choosy ON t (picky(id));
"""


def test_what_fails_is_left_out_if_that_was_chosen_on_the_page(
    client_of: ClientOf, team: Team, operator: User
) -> None:
    server = make_server(team)
    backup = make_backup_row(make_database(server), repository=make_repository_row(team))
    given = {"server": server.pk, "name": "copy", "owner": "keep", "jobs": 1}
    given |= {"repository": backup.copies.get().repository_id}
    form = TargetForm(given | {"skip_failing": "on"}, backup=backup, user=operator)
    assert form.is_valid(), form.errors
    assert form.restore.request.options == ("skip_failing",)
    restore = asked(form.restore, operator)
    page = client_of(operator).get(reverse("restore", args=[restore.pk])).content.decode()
    assert "Leave out what the server refuses to create" in page
    assert "--skip-failing" in page
    plain = TargetForm(given, backup=backup, user=operator)
    assert plain.is_valid()
    assert plain.restore.request.options == ()


@pytest.mark.parametrize("extensions", [("pg_cron",), ()])
def test_a_choice_about_an_extension_is_offered_where_the_backup_holds_it(
    team: Team, operator: User, extensions: tuple[str, ...]
) -> None:
    backup = make_backup_row(make_database(make_server(team)), repository=make_repository_row(team))
    backup.inventory = Inventory(extensions=extensions).to_json()
    form = TargetForm(backup=backup, user=operator)
    assert ("leave_out_scheduler" in form.fields) == bool(extensions)


def test_a_kind_without_a_choice_refuses_it(team: Team) -> None:
    server = make_server(team, kind="mysql", port=1)
    backup = make_backup_row(make_database(server), repository=make_repository_row(team))
    with pytest.raises(BadSetting, match="unknown restore options: skip_failing"):
        validate(plan_for(backup, "copy", options=("skip_failing",)))


@pytest.mark.usefixtures("repository")
def test_the_result_names_what_was_left_out(
    team: Team, postgres_tidy: PostgresServer, postgres_database: str
) -> None:
    postgres_tidy.execute(postgres_database, REFUSED)
    backup = taken(make_database(postgres_at(team, postgres_tidy), name=postgres_database))
    name = f"{postgres_database}_copy"
    with pytest.raises(SinkFailed, match="not for you") as refused:
        run(asked(plan_for(backup, name)))
    assert "--skip-failing" in refused.value.hint
    call_command("restore", backup.label, "--as", name, "--skip-failing", stdout=StringIO())
    restore = Restore.objects.latest("created_at")
    run(restore)
    [problem] = summary_of(restore).problems
    assert problem.startswith("left out, as the server refused it: index public.choosy: ")
