"""What every answer carries, whom the site answers, and the pages for what went wrong."""

from __future__ import annotations

import logging

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.test import Client, RequestFactory

from covetbackup.access.addresses import client_address, network_of
from covetbackup.access.models import User
from tests.web.conftest import ClientOf

PAGES = ["/sign-in/", "/healthz", "/none/", "/profile/", "/password/reset/"]


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_limits_what_a_browser_does(client: Client, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Cache-Control"] == "private, no-store"


def test_the_site_answers_under_its_own_names_only(client: Client) -> None:
    answer = client.get("/sign-in/", HTTP_HOST="evil.example")
    assert answer.status_code == 400
    assert "evil" not in answer.content.decode()


def test_each_answer_has_its_own_number(client: Client) -> None:
    numbers = {client.get("/healthz")["X-Request-Id"] for _ in range(3)}
    assert len(numbers) == 3


def test_a_page_that_is_not_there_says_so_in_the_shell(client_of: ClientOf, viewer: User) -> None:
    answer = client_of(viewer).get("/none/")
    page = answer.content.decode()
    assert answer.status_code == 404
    assert 'aria-label="Main"' in page
    assert answer["X-Request-Id"] in page


def test_a_page_that_is_not_there_tells_visitors_nothing_more(client: Client) -> None:
    answer = client.get("/none/")
    assert answer.status_code == 404
    assert 'aria-label="Main"' not in answer.content.decode()


def test_a_refused_form_says_what_to_try(viewer: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(viewer)
    answer = client.post("/profile/", {"theme": "dark"})
    assert answer.status_code == 403
    assert "reload the page" in answer.content.decode()


def test_a_form_from_another_site_changes_nothing(viewer: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(viewer)
    client.get("/profile/")
    token = client.cookies["csrftoken"].value
    data = {"theme": "dark", "csrfmiddlewaretoken": token}
    foreign = client.post("/profile/", data, HTTP_ORIGIN="https://evil.example")
    assert foreign.status_code == 403
    with_htmx = client.post("/profile/", {"theme": "dark"}, headers={"HX-Request": "true"})
    assert with_htmx.status_code == 403
    viewer.refresh_from_db()
    assert viewer.theme == "auto"
    assert client.post("/profile/", data).status_code == 302


def test_a_broken_catalog_is_told_without_the_catalog(
    client_of: ClientOf, viewer: User, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(viewer)
    client.raise_request_exception = False
    with caplog.at_level(logging.CRITICAL), connection.execute_wrapper(refuse):
        answer = client.get("/profile/")
        health = Client().get("/healthz"), Client().get("/readyz")
    assert answer.status_code == 500
    assert "Internal error" in answer.content.decode()
    assert [one.status_code for one in health] == [503, 503]


def refuse(*_: object) -> None:
    raise OperationalError("the server closed the connection")


def test_the_probes_answer_anybody(client: Client) -> None:
    assert client.get("/healthz").content == b"ok\n"
    assert client.get("/readyz").content == b"ok\n"


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "nonsense", ""),
        ("::ffff:203.0.113.7", "", "203.0.113.7"),
        ("", "198.51.100.1", ""),
    ],
)
def test_only_a_trusted_proxy_is_believed(
    remote: str, forwarded: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "TRUSTED_PROXIES", ["10.0.0.0/8"])
    headers = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}
    request = RequestFactory().get("/", REMOTE_ADDR=remote, **headers)
    assert client_address(request) == address


def test_one_visitor_counts_once_whatever_address_he_picks() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1")
    assert network_of("2001:db8:0:1::1") != network_of("2001:db8::1")
    assert network_of("") == "unknown"
