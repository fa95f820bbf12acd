"""The audit log: changes and removals are detected, users see the entries of their teams."""

from __future__ import annotations

import csv
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import RequestFactory

from covetbackup.access.models import Team, User
from covetbackup.audit.log import actor_of, head, record, verify_chain
from covetbackup.audit.models import AuditEntry
from tests.web.conftest import ClientOf

TRIGGERS = {
    "sqlite": [
        "DROP TRIGGER audit_no_update",
        "DROP TRIGGER audit_no_delete",
    ],
    "postgresql": ["SET LOCAL session_replication_role = replica"],
}


def three_entries(team: Team, user: User | None = None) -> None:
    for number in range(3):
        record(actor_of(user), "test.act", team=team, details={"number": number})


def break_in(statement: str) -> None:
    """Execute a statement as the owner of the database, without the triggers."""
    with connection.cursor() as cursor:
        for drop in TRIGGERS[connection.vendor]:
            cursor.execute(drop)
        cursor.execute(statement)


def test_an_untouched_log_is_whole(team: Team, viewer: User) -> None:
    assert verify_chain() is None
    three_entries(team, viewer)
    assert verify_chain() is None
    assert head()[0] == 3


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_auditentry SET actor = 'somebody else' WHERE sequence = 2",
        "UPDATE audit_auditentry SET outcome = 'denied' WHERE sequence = 2",
        "UPDATE audit_auditentry SET team_id = NULL WHERE sequence = 2",
        "UPDATE audit_auditentry SET at = '2020-01-01' WHERE sequence = 2",
        "UPDATE audit_auditentry SET details = '{}' WHERE sequence = 2",
        "UPDATE audit_auditentry SET previous = digest WHERE sequence = 2",
        "DELETE FROM audit_auditentry WHERE sequence = 2",
    ],
)
def test_a_changed_or_removed_entry_is_named(team: Team, change: str) -> None:
    three_entries(team)
    break_in(change)
    assert verify_chain() == 2


def test_a_log_that_was_cut_off_shows_by_its_head(team: Team) -> None:
    three_entries(team)
    _, digest = head()
    call_command("check_audit", head=digest)
    break_in("DELETE FROM audit_auditentry WHERE sequence = 3")
    with pytest.raises(CommandError, match="cut off"):
        call_command("check_audit", head=digest)


def test_the_command_names_the_broken_entry(team: Team) -> None:
    three_entries(team)
    break_in("DELETE FROM audit_auditentry WHERE sequence = 1")
    with pytest.raises(CommandError, match="entry 1 of the audit log"):
        call_command("check_audit")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditentry SET actor = 'somebody else'",
        "DELETE FROM audit_auditentry",
    ],
)
def test_the_database_refuses_changes(team: Team, statement: str) -> None:
    three_entries(team)
    with pytest.raises(DatabaseError, match="can only be added to"), transaction.atomic():
        connection.cursor().execute(statement)
    assert verify_chain() is None


def test_what_is_undone_is_not_recorded(team: Team) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record(actor_of(None), "test.act", team=team)
        _ = 1 / 0
    assert head()[0] == 0


def test_an_entry_says_who_what_and_from_where(team: Team, owner: User) -> None:
    request = RequestFactory().post("/", REMOTE_ADDR="203.0.113.7")
    request.user = owner
    record(request, "team.rename", team=team, subject=team)
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.address, entry.via) == ("olga", "203.0.113.7", "web")
    assert (entry.object_kind, entry.object_id, entry.object_name) == ("team", str(team.pk), "crew")


def test_hostile_text_survives_the_chain(team: Team) -> None:
    details = {"name": "x\x1b[31m\u202e\U0001f4a9'\"<b>", "n": 2**60, "list": [1.5, None, True]}
    record(actor_of(None), "test.act", team=team, details=details)
    assert verify_chain() is None


# The page


def shown(page: bytes) -> int:
    return page.count(b'data-label="Number"')


def test_users_see_the_entries_of_their_teams(
    client_of: ClientOf, admin: User, stranger: User, team: Team, other_team: Team
) -> None:
    three_entries(team)
    record(actor_of(None), "other.act", team=other_team)
    assert b"test.act" in client_of(admin).get("/audit/").content
    assert b"other.act" not in client_of(admin).get("/audit/").content
    assert b"test.act" not in client_of(stranger).get("/audit/").content


def test_sign_ins_of_members_are_shown(client_of: ClientOf, admin: User, viewer: User) -> None:
    record(actor_of(None), "session.refused", subject=viewer)
    assert b">Sign-in rejected<" in client_of(admin).get("/audit/").content


def test_sign_ins_of_others_are_not_shown(client_of: ClientOf, admin: User, stranger: User) -> None:
    record(actor_of(None), "session.refused", subject=stranger)
    assert b">Sign-in rejected<" not in client_of(admin).get("/audit/").content


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 3),
        ("action=test", 3),
        ("action=nothing", 0),
        ("actor=olga", 3),
        ("outcome=denied", 0),
        ("since=2020-01-01&until=2020-01-02", 0),
        ("since=2020-01-01", 3),
        ("cursor=x", 3),
        ("since=nonsense", 0),
    ],
)
def test_the_page_shows_what_the_filter_asks_for(
    client_of: ClientOf, owner: User, team: Team, query: str, count: int
) -> None:
    three_entries(team, owner)
    assert shown(client_of(owner).get(f"/audit/?{query}").content) == count


def test_pages_lead_through_the_whole_log_and_back(
    client_of: ClientOf, owner: User, team: Team
) -> None:
    for _ in range(120):
        record(actor_of(owner), "test.act", team=team)
    client, seen, cursor = client_of(owner), [], ""
    while cursor or not seen:
        page = client.get(f"/audit/?cursor={cursor}").context["page"]
        seen.append([entry.sequence for entry in page.rows])
        cursor = page.later
    assert [len(numbers) for numbers in seen] == [50, 50, 20]
    assert sum(seen, []) == list(range(120, 0, -1))
    newer = client.get(f"/audit/?cursor={page.earlier}").context["page"]
    assert [entry.sequence for entry in newer.rows] == seen[1]


def test_the_page_costs_few_queries_however_long_the_log(
    client_of: ClientOf, owner: User, team: Team
) -> None:
    for _ in range(60):
        record(actor_of(owner), "test.act", team=team)
    client = client_of(owner)
    with Queries() as queries:
        client.get("/audit/")
    assert queries.count <= 10


def test_the_check_says_what_it_found(client_of: ClientOf, owner: User, team: Team) -> None:
    client = client_of(owner)
    three_entries(team)
    answer = client.post("/audit/check/", follow=True)
    assert "The chain is whole" in answer.content.decode()
    break_in("UPDATE audit_auditentry SET actor = 'x' WHERE sequence = 2")
    answer = client.post("/audit/check/", follow=True)
    assert "Entry 2 was changed or removed" in answer.content.decode()


def test_an_export_runs_no_formulas(client_of: ClientOf, owner: User, team: Team) -> None:
    Team.objects.filter(pk=team.pk).update(name="=cmd|'/c calc'!A1")
    team.refresh_from_db()
    record(actor_of(owner), "test.act", team=team, subject=team)
    answer = client_of(owner).get("/audit/export.csv")
    rows = list(csv.DictReader(StringIO(answer.getvalue().decode())))
    assert rows[0]["object_name"] == "'=cmd|'/c calc'!A1"
    assert answer["Content-Disposition"] == 'attachment; filename="audit.csv"'
    assert AuditEntry.objects.filter(action="audit.export").exists()


class Queries:
    """Counts the statements sent to the catalog while it is entered."""

    def __enter__(self) -> Queries:
        self.count = 0
        self._wrapper = connection.execute_wrapper(self._counted)
        self._wrapper.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._wrapper.__exit__(*error)

    def _counted(self, execute: object, *arguments: object) -> object:
        self.count += 1
        return execute(*arguments)
