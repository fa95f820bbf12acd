"""The dashboard over a big catalog, in a process of its own: makes it, asks for every page, prints
a line of JSON for each. Its environment names the catalog (`COVET_VAR`, `DATABASE_URL`)."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

VAR = Path(os.environ["COVET_VAR"])
(VAR / "secret-key").write_text("a key for figures, " * 4)
(VAR / "static").mkdir(exist_ok=True)
os.environ["DJANGO_SETTINGS_MODULE"] = "covetbackup.settings"

import django  # noqa: E402

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from covetbackup.access.models import User  # noqa: E402
from covetbackup.access.roles import Role  # noqa: E402
from covetbackup.wsgi import application  # noqa: E402
from tests.web import factories  # noqa: E402
from tests.web.addresses import addresses  # noqa: E402
from tests.web.large_catalog import make_fleet  # noqa: E402


def prepare(databases: int, backups_each: int) -> User:
    """An owner of everything, who may see the admin site too."""
    for command in (("migrate",), ("collectstatic", "--no-input")):
        call_command(*command, verbosity=0)
    connection.settings_dict["CONN_MAX_AGE"] = None  # one process of the server's is looked at
    team = factories.make_team("crew")
    owner = factories.make_member(team, Role.OWNER, "olga")
    User.objects.filter(pk=owner.pk).update(is_staff=True, is_superuser=True)
    with transaction.atomic():
        make_fleet(team, databases=databases, backups_each=backups_each)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    return owner


def visitor(user: User) -> Callable[[str], tuple[int, bytes]]:
    """Asks the real application for an address, as a server would: all middleware, whole body."""
    client = Client()
    client.force_login(user)
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"

    def ask(address: str) -> tuple[int, bytes]:
        parts, answer = urlsplit(address), [""]
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET", "PATH_INFO": parts.path, "QUERY_STRING": parts.query,
            "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8000", "HTTP_COOKIE": cookie,
            "wsgi.input": BytesIO(), "wsgi.url_scheme": "http", "wsgi.errors": sys.stderr,
        }  # fmt: skip
        response = application(environ, lambda status, _headers: answer.insert(0, status))
        body = b"".join(response)
        response.close()
        return int(answer[0][:3]), body

    return ask


def processor_seconds() -> float:
    """What this process and the catalog's own, which works for it, have used."""
    seconds = time.process_time()
    if connection.vendor == "postgresql":
        connection.ensure_connection()
        server = connection.connection.info.backend_pid
        nanoseconds = Path(f"/proc/{server}/schedstat").read_text().split()[0]
        seconds += int(nanoseconds) / 1e9
    return seconds


def measure(ask: Callable[[str], tuple[int, bytes]], address: str, rounds: int) -> dict[str, Any]:
    """The quickest of some rounds: what the page needs, without what others on the machine do."""
    with CaptureQueriesContext(connection) as queries:
        status, body = ask(address)
    count = len(queries)  # counted later, those of the next requests would count
    assert status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT), (address, status)
    walls, processors = [], []
    for _ in range(rounds if status == HTTPStatus.OK else 20 * rounds):
        began, spent = time.perf_counter(), processor_seconds()
        ask(address)
        processors.append(processor_seconds() - spent)
        walls.append(time.perf_counter() - began)
    return {
        "queries": count,
        "wall_ms": 1000 * min(walls),
        "cpu_ms": 1000 * min(processors),
        "kib": len(body) / 1024,
    }


def main(databases: int, backups_each: int, rounds: int) -> None:
    ask = visitor(owner := prepare(databases, backups_each))
    for name, address in addresses(owner).items():
        print(json.dumps({"name": name} | measure(ask, address, rounds)), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
