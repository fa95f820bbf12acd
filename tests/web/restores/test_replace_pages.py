"""The pages of a replacement: what they say before, what they ask for, and how it is undone."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from backups.models import Backup, Database
from covetbackup.access.decorators import AUTHENTICATED_AT
from covetbackup.access.models import User
from covetbackup.audit.models import AuditEntry
from covetbackup.core.databases.retained import Session
from restores.models import Restore, RetainedDatabase, RetainedState
from tests.web.conftest import ClientOf
from tests.web.replacements import replaced, run_kept, swapped_back, take_safety_backup
from tests.web.restores.test_views import answers, text_of
from tests.web.restores_helper import rows_in, run, taken

pytest_plugins = ["tests.web.catalog_fixtures"]


@pytest.fixture
def backup(repository: Any, shop: Database) -> Backup:
    return taken(shop)


@pytest.fixture
def admin_client(client_of: ClientOf, admin: User) -> Client:
    return client_of(admin)


def given(backup: Backup, **more: Any) -> dict[str, Any]:
    return {**answers(backup, "shop.db"), "retention_days": 7, **more}


def check(client: Client, backup: Backup, **more: Any) -> HttpResponse:
    return client.get(reverse("restore-replace-check", args=[backup.pk]), given(backup, **more))


def confirm(client: Client, backup: Backup, **more: Any) -> HttpResponse:
    url = reverse("restore-replace-check", args=[backup.pk])
    return client.post(url, given(backup, **more))


def sent_by(page: HttpResponse) -> dict[str, str]:
    """What the form of the page sends when nothing in it is changed."""
    text = text_of(page)
    form = text[text.index('aria-labelledby="confirm-title"') :]
    ticked = re.findall(r'type="checkbox" name="(\w+)"[^>]* checked', form)
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    return {**dict(hidden), **dict.fromkeys(ticked, "on")}


def test_the_whole_way_by_plain_links_and_forms(admin_client: Client, backup: Backup) -> None:
    start = admin_client.get(reverse("restore-start", args=[backup.pk]))
    assert reverse("restore-replace", args=[backup.pk]) in text_of(start)
    ask = admin_client.get(reverse("restore-replace", args=[backup.pk]))
    assert 'name="name" value="shop.db"' in text_of(ask)
    sent = {**sent_by(check(admin_client, backup)), "typed": "shop.db"}
    url = reverse("restore-replace-check", args=[backup.pk])
    here = admin_client.post(url, sent).headers["Location"]
    restore = Restore.objects.get()
    assert restore.safety_backup is not None  # it was ticked already
    assert "Waiting for the safety backup of" in text_of(admin_client.get(here))
    take_safety_backup(restore)
    run(restore)
    kept = RetainedDatabase.objects.get()
    page = text_of(admin_client.get(here))
    assert "shop.db was replaced: 1 table with 500 rows" in page and kept.name in page
    assert reverse("restore-revert", args=[restore.pk]) in page


def test_the_safety_backup_can_be_left_out(admin_client: Client, backup: Backup) -> None:
    confirm(admin_client, backup, typed="shop.db")
    assert Restore.objects.get().safety_backup is None


@pytest.mark.parametrize("typed", ["", "shop", "SHOP.DB", " shop.db"])
def test_a_wrong_name_is_refused_by_the_server(
    typed: str, admin_client: Client, backup: Backup
) -> None:
    page = confirm(admin_client, backup, typed=typed, safety="on")
    assert page.status_code == 422
    assert not Restore.objects.exists()


def test_what_the_operator_may_not_is_said_and_refused(
    client_of: ClientOf, operator: User, backup: Backup
) -> None:
    client = client_of(operator)
    start = text_of(client.get(reverse("restore-start", args=[backup.pk])))
    assert "ask a team member who is admin or higher" in start
    assert check(client, backup).status_code == 403
    assert confirm(client, backup, typed="shop.db").status_code == 403
    assert AuditEntry.objects.filter(action="access.denied", user=operator).count() == 2


def test_the_password_must_have_been_typed_a_short_while_ago(
    admin_client: Client, backup: Backup
) -> None:
    kept = replaced(backup)
    session = admin_client.session
    session[AUTHENTICATED_AT] = 0
    session.save()
    again = reverse("sign-in-again")
    assert check(admin_client, backup).headers["Location"].startswith(again)
    assert "Confirm your password" in text_of(confirm(admin_client, backup, typed="shop.db"))
    for name in ("restore-revert", "restore-delete-retained"):
        url = reverse(name, args=[kept.restore_id])
        assert "Confirm your password" in text_of(admin_client.post(url, {"typed": kept.name}))
    assert Restore.objects.count() == 1
    assert RetainedDatabase.objects.get().state == RetainedState.RETAINED


def test_a_failing_check_disables_the_button_and_refuses_the_form(
    admin_client: Client, backup: Backup
) -> None:
    page = text_of(check(admin_client, backup, name="nowhere.db"))
    assert "Blocked by failed checks" in page and "disabled" in page
    answer = confirm(admin_client, backup, name="nowhere.db", typed="nowhere.db")
    assert answer.status_code == 422
    assert not Restore.objects.exists()


def test_who_is_connected_is_listed(
    admin_client: Client, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Session("app", "<b>till</b>", "10.0.0.7", "idle in transaction", None)]
    monkeypatch.setattr("restores.in_place_views.sessions", lambda plan: found)
    page = text_of(check(admin_client, backup))
    for text in ("app", "&lt;b&gt;till&lt;/b&gt;", "10.0.0.7", "idle in transaction"):
        assert text in page


def test_a_form_sent_twice_asks_once(admin_client: Client, backup: Backup) -> None:
    sent = {"typed": "shop.db", "safety": "on", "restore": str(uuid.uuid4())}
    first, second = confirm(admin_client, backup, **sent), confirm(admin_client, backup, **sent)
    assert first.headers["Location"] == second.headers["Location"]
    assert Restore.objects.count() == 1


def test_swapping_back_and_dropping_need_the_name(
    admin_client: Client, backup: Backup, shop: Database
) -> None:
    kept = replaced(backup)
    swap = reverse("restore-revert", args=[kept.restore_id])
    drop = reverse("restore-delete-retained", args=[kept.restore_id])
    assert admin_client.post(swap, {"typed": kept.name}).status_code == 422
    assert admin_client.post(drop, {"typed": "shop.db"}).status_code == 422
    page = admin_client.post(drop, {"typed": kept.name})
    kept.refresh_from_db()
    assert page.headers["Location"] == reverse("job", args=[kept.job_id])
    run_kept(kept.job)
    assert admin_client.get(drop).status_code == 404
    assert not (Path(shop.server.folder) / kept.name).exists()
    result = text_of(admin_client.get(reverse("restore", args=[kept.restore_id])))
    assert "was deleted by anna" in result
    assert rows_in(Path(shop.server.folder) / "shop.db") == 500


def test_after_a_swap_back_the_page_says_which_is_which(
    admin_client: Client, backup: Backup
) -> None:
    kept = replaced(backup)
    swapped_back(kept)
    page = text_of(admin_client.get(reverse("restore", args=[kept.restore_id])))
    assert "The restore was reverted" in page and "Delete restored copy" in page
