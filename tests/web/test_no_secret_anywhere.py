"""A canary in every place for secrets, and then a look at everything that leaves the dashboard."""

from __future__ import annotations

import base64
import csv
import io
import json
import logging
from pathlib import Path
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from backups import secrets
from covetbackup.access.models import User
from covetbackup.jobs.models import JobEvent
from tests.web.conftest import signed_in
from tests.web.fixtures import World
from tests.web.matrix import ROWS

pytest_plugins = ["tests.web.catalog_fixtures"]

CANARY = "kanárek/p@ss+w0rd"
FORMS = (
    CANARY,
    base64.b64encode(CANARY.encode()).decode(),
    CANARY.encode().hex(),
    quote(CANARY, safe=""),
    json.dumps(CANARY),
)


def leaks(text: str) -> list[str]:
    return [form for form in FORMS if form in text]


@pytest.fixture
def world(vault: Path) -> World:
    """One of everything, each secret in it the canary."""
    world = World()
    secrets.encrypt_field(world.server, "password", CANARY)
    secrets.encrypt_field(
        world.repository,
        "credentials",
        json.dumps({"access_key_id": "id", "secret_access_key": CANARY}),
    )
    world.restore.target_server = world.server
    world.restore.save()
    return world


def test_no_page_shows_a_secret_to_anybody(world: World) -> None:
    for row in ROWS:
        url = reverse(row.name, args=world.arguments(row.what))
        data = {name: value.format(world=world) for name, value in row.data.items()}
        for persona in ("owner", "viewer"):
            answer = signed_in(world.users[persona]).get(url, data)
            body = b"".join(answer) if answer.streaming else answer.content
            assert leaks(body.decode()) == [], f"{row.name} {persona}"
            assert world.server.password not in body.decode(), row.name


def test_a_form_that_comes_back_does_not_bring_the_secret_along(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = signed_in(world.users["owner"])
    team = str(world.team.pk)
    server = {"team": team, "name": "x", "host": "127.0.0.1", "port": "1", "user": "u"}
    server |= {"sslmode": "prefer", "queue": "jobs", "password": CANARY}
    bucket = {"team": team, "name": "y", "bucket": "b-1", "endpoint": "http://127.0.0.1:1"}
    bucket |= {"access_key_id": "id", "secret_access_key": CANARY}
    answers = [
        client.post(reverse("server-add"), server),
        client.post(reverse("server-add"), server | {"test": "1"}),
        client.post(reverse("repository-add") + "?kind=s3", bucket),
        client.post(reverse("sign-in-again"), {"password": CANARY}),
    ]
    assert all(leaks(answer.content.decode()) == [] for answer in answers)
    assert leaks(caplog.text) == []
    assert leaks(dump_of_the_catalog()) == []


def test_the_admin_site_shows_no_secret(world: World) -> None:
    user = world.users["owner"]
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    client = signed_in(User.objects.get(pk=user.pk))
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages = [client.get(reverse(f"{name}_changelist"))]
        row = model._default_manager.first()
        if row is not None:
            pages.append(client.get(reverse(f"{name}_change", args=[row.pk]), follow=True))
        for page in pages:
            assert leaks(page.content.decode()) == [], name
            assert world.server.password not in page.content.decode(), name


def test_neither_dump_nor_export_nor_command_holds_a_secret(world: World) -> None:
    assert leaks(dump_of_the_catalog()) == []
    export = b"".join(signed_in(world.users["owner"]).get(reverse("audit-export")))
    assert leaks(export.decode()) == [] and list(csv.reader(io.StringIO(export.decode())))
    for command in (["list", "--json"], ["jobs", "--json"], ["check_secrets", "--json"]):
        out = io.StringIO()
        call_command(*command, stdout=out)
        assert out.getvalue() and leaks(out.getvalue()) == [], command


def dump_of_the_catalog() -> str:
    """Every row of every table, as text."""
    rows: list[object] = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            rows += cursor.fetchall()
    assert len(rows) > 10
    return repr(rows)


def test_what_a_terminal_would_obey_is_left_out_of_logs_on_pages(world: World) -> None:
    client: Client = signed_in(world.users["viewer"])
    now = world.job.created_at
    text = "\x1b[31mred\x1b[0m \x07bell <b>bold</b> \u202eback"
    JobEvent.objects.create(job=world.job, at=now, kind="error", text=text)
    page = client.get(reverse("job", args=[world.job.pk])).content.decode()
    assert "\x1b" not in page and "\x07" not in page
    assert "red bell &lt;b&gt;bold&lt;/b&gt;" in page
