"""One verdict over databases and backups, on whatever page it is shown."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from backups import state as records
from backups.models import Backup, BackupCopy, CopyState
from backups.verdict import BackupFacts, DatabaseFacts, Tone, judge_backup, judge_database
from backups.verdict_data import fleet_of, judged_one, tally_of
from covetbackup.access.models import Team, User
from covetbackup.core.operations.verify import VerifyLevel
from tests.web.conftest import ClientOf
from tests.web.factories import (
    make_backup_row,
    make_database,
    make_repository_row,
    make_server,
    make_worker,
)

GOOD = BackupFacts("available", intact=1)
EMPTY = DatabaseFacts()
SHOP = DatabaseFacts(newest=GOOD)


@pytest.mark.parametrize(
    ("facts", "badge", "can_restore"),
    [
        (BackupFacts("available"), "recoverable", True),
        (BackupFacts("available", intact=2), "recoverable", True),
        (BackupFacts("degraded", intact=1, damaged=1), "copy damaged", True),
        (BackupFacts("degraded", intact=1, absent=1), "copy missing", True),
        (BackupFacts("degraded"), "copy missing", True),
        (BackupFacts("available", damaged=1), "damaged", False),
        (BackupFacts("failed", damaged=2), "damaged", False),
        (BackupFacts("failed"), "failed", False),
        (BackupFacts("cancelled"), "cancelled", False),
        (BackupFacts("pending"), "pending", False),
    ],
)
def test_a_backup_can_be_restored_while_a_copy_is_intact(
    facts: BackupFacts, badge: str, can_restore: bool
) -> None:
    verdict = judge_backup(facts)
    assert (verdict.badge, verdict.can_restore) == (badge, can_restore)
    assert verdict.reason


@pytest.mark.parametrize(
    ("facts", "badge", "tone", "can_restore"),
    [
        (EMPTY, "not protected", "bad", False),
        (DatabaseFacts(last_run="failed"), "not protected", "bad", False),
        (DatabaseFacts(last_run="failed", last_run_is_damaged=True), "damaged", "bad", False),
        (SHOP, "recoverable", "ok", True),
        (DatabaseFacts(newest=GOOD, last_run="failed"), "last run failed", "warn", True),
        (DatabaseFacts(newest=GOOD, last_run="interrupted"), "last run interrupted", "warn", True),
        (
            DatabaseFacts(newest=GOOD, last_run="failed", last_run_is_damaged=True),
            *("newest damaged", "warn", True),
        ),
        (DatabaseFacts(newest=GOOD, older_damaged=1), "copy damaged", "warn", True),
        (
            DatabaseFacts(newest=BackupFacts("degraded", intact=1, damaged=1), last_run="failed"),
            *("copy damaged", "warn", True),
        ),
        (DatabaseFacts(newest=BackupFacts("available", damaged=1)), "damaged", "bad", False),
        (DatabaseFacts(is_gone=True, newest=GOOD), "gone", "", False),
        (DatabaseFacts(is_included=False), "not included", "", False),
        (DatabaseFacts(is_maintenance=True), "not backed up", "", False),
        (DatabaseFacts(is_restored_copy=True), "not backed up", "", False),
        (DatabaseFacts(is_restored_copy=True, is_chosen=True), "not protected", "bad", False),
        (DatabaseFacts(is_maintenance=True, newest=GOOD), "recoverable", "ok", True),
    ],
)
def test_the_worst_that_is_known_of_a_database_is_its_verdict(
    facts: DatabaseFacts, badge: str, tone: str, can_restore: bool
) -> None:
    verdict = judge_database(facts)
    assert (verdict.badge, verdict.tone, verdict.can_restore) == (badge, tone, can_restore)
    assert verdict.counts is bool(tone) and verdict.reason


@pytest.fixture
def backup(team: Team) -> Backup:
    """Of shop, in two repositories; a worker is there."""
    make_worker()
    database = make_database(make_server(team), name="shop")
    made = make_backup_row(database, repository=make_repository_row(team))
    BackupCopy.objects.create(
        backup=made, repository=make_repository_row(team), state="stored", stored_at=made.created_at
    )
    return made


def verify(backup: Backup, *states: CopyState) -> None:
    for copy, state in zip(backup.copies.order_by("pk"), states, strict=True):
        problem = "dump.pgc: SHA-256 mismatch" if state is CopyState.CORRUPT else ""
        records.record_copy_check(copy, state, problem)
    records.record_verified(Backup.objects.get(pk=backup.pk), VerifyLevel.CHECKSUM)


def shown(client: Client, backup: Backup) -> dict[str, str]:
    """The heading of each page that says whether shop can be restored, with its badges."""
    pages = {
        "overview": reverse("overview"),
        "databases": reverse("databases"),
        "database": reverse("database", args=[backup.database_id]),
        "backup": reverse("backup", args=[backup.pk]),
        "server": reverse("server", args=[backup.database.server_id]),
    }
    found = {}
    for name, address in pages.items():
        text = client.get(address).content.decode()
        heading = re.search(r"<h1>(.*?)</h1>", text, re.DOTALL)
        assert heading is not None
        badges = re.findall(r'class="badge[^>]*>.*?</svg> ([^<]+)</span>', text)
        found[name] = f"{re.sub('<[^>]+>', '', heading[1])} | {' '.join(badges)}"
    return found


def test_every_page_says_that_one_of_two_copies_is_damaged_and_the_other_restores(
    client_of: ClientOf, viewer: User, backup: Backup
) -> None:
    verify(backup, CopyState.VERIFIED, CopyState.CORRUPT)

    pages = shown(client_of(viewer), backup)

    assert pages["overview"].startswith("The database is recoverable | Copy damaged")
    assert pages["databases"].startswith("The database has a restorable backup | Copy damaged")
    assert pages["database"].startswith("shop can be restored as it was")
    assert pages["backup"].startswith("shop can be restored, but 1 of 2 copies is damaged")
    for name in ("overview", "databases", "database", "server"):
        assert "Copy damaged" in pages[name], name
    text = client_of(viewer).get(reverse("overview")).content.decode()
    assert "1 problem" in text and "can be restored, but 1 of 2 copies is damaged" in text


def test_every_page_says_that_no_copy_is_left(
    client_of: ClientOf, viewer: User, backup: Backup
) -> None:
    verify(backup, CopyState.CORRUPT, CopyState.MISSING)

    pages = shown(client_of(viewer), backup)

    assert pages["overview"].startswith("0 of 1 databases are recoverable | Damaged")
    assert pages["databases"].startswith("1 of 1 database has no restorable backup | Damaged")
    assert pages["database"].startswith("shop has no restorable backup | Damaged")
    assert pages["backup"].startswith("This backup of shop cannot be restored: every copy is damag")


def test_a_damaged_copy_that_was_made_again_is_no_problem_any_more(
    client_of: ClientOf, viewer: User, backup: Backup
) -> None:
    verify(backup, CopyState.VERIFIED, CopyState.CORRUPT)
    records.record_copied(backup.copies.select_related("backup").get(state=CopyState.CORRUPT))

    pages = shown(client_of(viewer), backup)

    assert pages["overview"].startswith("The database is recoverable | Recoverable")
    assert pages["backup"].startswith("shop can be restored to ")
    for page in (reverse("overview"), reverse("backup", args=[backup.pk])):
        text = client_of(viewer).get(page).content.decode()
        assert "failed its check" not in text and "found damage" not in text, page
        assert 'class="notice notice--bad"><svg' not in text, page


def test_a_backup_whose_copies_are_found_again_is_no_problem_any_more(
    client_of: ClientOf, viewer: User, backup: Backup
) -> None:
    verify(backup, CopyState.MISSING, CopyState.MISSING)
    verify(backup, CopyState.VERIFIED, CopyState.VERIFIED)
    assert shown(client_of(viewer), backup)["backup"].startswith("shop can be restored to ")
    text = client_of(viewer).get(reverse("backup", args=[backup.pk])).content.decode()
    assert 'class="notice notice--bad"><svg' not in text
    backup.refresh_from_db()
    assert (backup.state, backup.error, backup.hint) == ("available", "", "")


def test_a_damaged_newest_backup_leaves_the_older_one_and_a_warning(
    client_of: ClientOf, viewer: User, backup: Backup
) -> None:
    older = make_backup_row(backup.database, repository=backup.copies.all()[0].repository)
    Backup.objects.filter(pk=older.pk).update(created_at="2026-01-01T00:00Z")
    verify(backup, CopyState.CORRUPT, CopyState.CORRUPT)

    pages = shown(client_of(viewer), backup)

    assert pages["overview"].startswith("The database is recoverable | Newest damaged")
    assert "Newest damaged" in pages["database"]


def test_a_damaged_copy_of_an_older_backup_is_not_forgotten(team: Team, backup: Backup) -> None:
    make_backup_row(backup.database, repository=backup.copies.all()[0].repository)
    verify(backup, CopyState.VERIFIED, CopyState.CORRUPT)
    verdict = judged_one(backup.database).verdict
    assert verdict.badge == "copy damaged" and "an older backup" in verdict.reason


def test_a_repository_with_a_damaged_copy_says_so(
    client_of: ClientOf, viewer: User, backup: Backup
) -> None:
    verify(backup, CopyState.VERIFIED, CopyState.CORRUPT)
    cancelled = make_backup_row(backup.database, state="cancelled", label="")
    here = backup.copies.get(state=CopyState.CORRUPT).repository
    BackupCopy.objects.create(backup=cancelled, repository=here, state=CopyState.FAILED)
    client = client_of(viewer)
    text = client.get(reverse("repositories")).content.decode()
    assert text.count("Copy damaged") == 1 and "1 damaged copy" in text
    page = client.get(reverse("repository", args=[here.pk])).content.decode()
    assert "Corrupt</span> 1" in page and "Failed</span> 1" not in page


def test_a_look_that_finds_nothing_does_not_take_back_damage(backup: Backup) -> None:
    verify(backup, CopyState.VERIFIED, CopyState.CORRUPT)
    verified_at = Backup.objects.get(pk=backup.pk).verified_at
    damaged = backup.copies.get(state=CopyState.CORRUPT)
    records.record_copy_check(damaged, CopyState.CORRUPT, damaged.problem)
    records.record_verified(Backup.objects.get(pk=backup.pk), VerifyLevel.EXISTS)
    now = Backup.objects.get(pk=backup.pk)
    assert "SHA-256 mismatch" in now.verify_problem and now.verified_at == verified_at


def test_maintenance_databases_and_restored_copies_do_not_lower_the_headline(
    client_of: ClientOf, viewer: User, team: Team, backup: Backup
) -> None:
    server = backup.database.server
    make_database(server, name="postgres", size_bytes=7_600_000)
    make_database(server, name="shop_restored", is_restored_copy=True)

    text = client_of(viewer).get(reverse("overview")).content.decode()

    assert "<h1>The database is recoverable</h1>" in text and "2 not counted" in text
    assert "Needs attention" not in text and text.count("Not backed up") == 2


def test_a_maintenance_database_with_data_or_of_another_kind_counts(team: Team) -> None:
    large = make_database(make_server(team), name="postgres", size_bytes=10**9)
    folder = make_database(make_server(team, folder="/srv"), name="postgres")
    chosen = make_database(make_server(team), name="postgres", inclusion="included")
    for row in (large, folder, chosen):
        assert judged_one(row).verdict.tone is Tone.BAD


def test_the_headline_of_the_fleet_and_of_the_list_count_alike(
    client_of: ClientOf, viewer: User, team: Team, backup: Backup
) -> None:
    make_database(backup.database.server, name="lost")
    make_database(backup.database.server, name="left out", is_included=False)
    tally = tally_of(row.verdict for row in fleet_of(viewer))
    assert (tally.total, tally.lost, tally.uncounted) == (2, 1, 0)
    pages = shown(client_of(viewer), backup)
    assert pages["overview"].startswith("1 of 2 databases are recoverable")
    assert pages["databases"].startswith("1 of 2 databases has no restorable backup")
