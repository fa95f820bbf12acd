"""The same wish, many times at once. Real commits, real threads."""

from __future__ import annotations

from collections import Counter
from uuid import uuid4

import pytest
from django.urls import reverse

from backups.models import Backup, Database, Repository
from covetbackup.access.models import User
from covetbackup.jobs.models import Job
from tests.web.access.test_races import all_at_once
from tests.web.conftest import signed_in

pytest_plugins = ["tests.web.catalog_fixtures"]
pytestmark = pytest.mark.usefixtures("committed_catalog")


def ask_at_once(
    user: User, database: Database, repository: Repository, ids: list[str]
) -> Counter[str]:
    """How often each address was led to."""
    form = {"repositories": [repository.pk], "codec": "zstd:3", "cipher": "none"}
    address = reverse("database-backup", args=[database.pk])
    clients = [signed_in(user) for _ in ids]
    return Counter(
        all_at_once(lambda n: clients[n].post(address, form | {"backup_id": ids[n]}).url)
    )


def test_one_form_sent_many_times_at_once_asks_for_one_backup(
    operator: User, shop: Database, repository: Repository
) -> None:
    led_to = ask_at_once(operator, shop, repository, [str(uuid4())] * 8)
    job = Job.objects.get()
    assert led_to == {reverse("job", args=[job.pk]): 8}
    assert Backup.objects.count() == 1


def test_many_forms_sent_at_once_make_one_backup_wait(
    operator: User, shop: Database, repository: Repository
) -> None:
    led_to = ask_at_once(operator, shop, repository, [str(uuid4()) for _ in range(8)])
    job = Job.objects.get()
    assert led_to == {
        reverse("job", args=[job.pk]): 1,
        reverse("database", args=[shop.pk]): 7,
    }
    assert Backup.objects.count() == 1
