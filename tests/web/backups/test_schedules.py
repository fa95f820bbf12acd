"""Schedules: nothing acts on them yet, so nothing offers them, and impossible ones are refused."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.urls import reverse

from backups.cron import check_cron
from backups.models import RetentionPolicy, Schedule
from covetbackup.access.models import Team, User
from tests.web.conftest import ClientOf
from tests.web.factories import make_database, make_server

POSSIBLE = (
    *("0 2 * * *", "*/15 * * * *", "5,35 1-5 * * mon-fri", "0 0 29 2 *", "0 0 31 * *"),
    *("0 0 30 2 mon", "10/20 * * JAN,jul sun", "0 0 1-7/2 1-12/3 7", "59 23 31 12 0"),
)
IMPOSSIBLE = (
    *("99 99 * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *"),
    *("* * * * 8", "", "0 2 * *", "0 2 * * * *", "a b c d e", "*-5 * * * *", "5-1 * * * *"),
    *("*/0 * * * *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 2 */1", "1, * * * *", "² * * * *"),
    *("* * * * mon-", "-1 * * * *", "1/2/3 * * * *", "* * mon * *", "@daily"),
)


@pytest.mark.parametrize("text", POSSIBLE)
def test_a_possible_cron_expression_is_taken(text: str) -> None:
    check_cron(text)


@pytest.mark.parametrize("text", IMPOSSIBLE)
def test_a_cron_expression_that_is_none_or_never_comes_due_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^[^A-Z]"):
        check_cron(text)


@pytest.mark.parametrize(
    "wrong", [{"cron": "99 99 * * *"}, {"time_zone": "Mars/Phobos"}, {"time_zone": "../etc/passwd"}]
)
def test_an_impossible_schedule_is_refused_by_the_model(team: Team, wrong: dict[str, str]) -> None:
    good = {"name": "Nightly", "cron": "0 2 * * *", "time_zone": "Europe/Berlin"}
    Schedule(team=team, **good).full_clean()
    with pytest.raises(ValidationError) as refused:
        Schedule(team=team, **(good | wrong)).full_clean()
    assert list(refused.value.message_dict) == list(wrong)


def test_nothing_offers_schedules_or_retention_before_they_run(
    client_of: ClientOf, owner: User, team: Team
) -> None:
    owner.is_staff = owner.is_superuser = True
    owner.save(update_fields=["is_staff", "is_superuser"])
    database = make_database(make_server(team))
    Schedule.objects.create(team=team, name="Nightly", cron="0 2 * * *").databases.add(database)
    client = client_of(owner)
    for address in (reverse("database", args=[database.pk]), "/admin/", reverse("team")):
        text = client.get(address).content.decode().lower()
        assert "schedule" not in text and "retention" not in text and "nightly" not in text, address
    assert not {Schedule, RetentionPolicy} & set(admin.site._registry)
