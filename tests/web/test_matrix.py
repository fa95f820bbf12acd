"""Every address × method × persona answers as the table in `matrix.py` says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests.web.conftest import signed_in
from tests.web.fixtures import PERSONAS, World
from tests.web.matrix import ROWS, Row

CASES = [(row, method) for row in ROWS for method in ("GET", "POST")]


def addresses(patterns: list[Any], namespace: str = "") -> Iterator[str]:
    """The names of all addresses; of one without a name, its route."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from addresses(pattern.url_patterns, inner)
        elif isinstance(pattern, URLPattern):
            yield namespace + (pattern.name or str(pattern.pattern))


def test_every_address_has_a_row() -> None:
    known = list(addresses(get_resolver().url_patterns))
    own = [name for name in known if not name.startswith("admin:")]
    assert sorted(own) == sorted(row.name for row in ROWS)


@pytest.mark.parametrize(("row", "method"), CASES, ids=lambda x: getattr(x, "name", x))
def test_each_persona_gets_the_answer_of_the_table(row: Row, method: str) -> None:
    world = World()
    url = reverse(row.name, args=world.arguments(row.what))
    data = {name: value.format(world=world) for name, value in row.data.items()}
    codes = {name: answer(signed_in(world.users[name]), method, url, data) for name in PERSONAS}
    assert codes == expected(row.get if method == "GET" else row.post)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_changes_things_wants_a_token_of_this_site(row: Row) -> None:
    world = World()
    url = reverse(row.name, args=world.arguments(row.what))
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.users["owner"])
    assert answer(client, "POST", url, {}) in (403, 405)
    client.cookies["csrftoken"] = token = "a" * 32
    forged = {"csrfmiddlewaretoken": token}
    assert answer(client, "POST", url, forged, HTTP_ORIGIN="https://evil.example") in (403, 405)


def test_the_admin_site_is_closed_to_everybody_but_staff() -> None:
    world = World()
    urls = [reverse("admin:index")]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        urls += [reverse(f"{name}_changelist"), reverse(f"{name}_add")]
        urls += [reverse(f"{name}_{act}", args=[1]) for act in ("change", "delete", "history")]
    clients = [signed_in(world.users[persona]) for persona in PERSONAS]
    refused = {url for url in urls for client in clients if answer(client, "GET", url, {}) == 302}
    assert refused == set(urls)


def answer(client: Client, method: str, url: str, data: dict[str, str], **headers: Any) -> int:
    """The answer's code; whatever the request changed is undone."""
    with transaction.atomic():
        send = client.get if method == "GET" else client.post
        code = send(url, data, **headers).status_code
        transaction.set_rollback(True)
    return code


def expected(codes: str) -> dict[str, int]:
    words = codes.split()
    words = words * len(PERSONAS) if len(words) == 1 else words
    return dict(zip(PERSONAS, map(int, words), strict=True))
