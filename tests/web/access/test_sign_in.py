"""Signing in: what is let in, what is slowed down, what stays unsaid."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.contrib.auth.hashers import get_hasher
from django.contrib.auth.models import AnonymousUser
from django.test import Client
from django.utils import timezone

from covetbackup.access import throttle
from covetbackup.access.models import Throttle, User
from covetbackup.audit.models import AuditEntry
from tests.web.conftest import ClientOf
from tests.web.factories import PASSWORD, make_user

URL = "/sign-in/"


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait ends while the test runs, however slow the machine is."""
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)


def try_to_sign_in(client: Client, name: str, password: str = "wrong", **headers: str) -> int:
    answer = client.post(URL, {"username": name, "password": password}, **headers)
    return answer.status_code


def test_the_right_password_opens_the_overview(viewer: User, client: Client) -> None:
    answer = client.post(URL, {"username": "vera", "password": PASSWORD})
    assert (answer.status_code, answer.url) == (302, "/")
    assert AuditEntry.objects.get(action="session.begin").user == viewer


def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(
    viewer: User, client: Client
) -> None:
    known = client.post(URL, {"username": "vera", "password": "wrong"})
    unknown = client.post(URL, {"username": "nobody", "password": "wrong"})
    assert (known.status_code, unknown.status_code) == (422, 422)
    assert without_name(known.content, b"vera") == without_name(unknown.content, b"nobody")


def without_name(page: bytes, name: bytes) -> list[bytes]:
    lines = page.replace(name, b"?").splitlines()
    return [
        line for line in lines if b"csrfmiddlewaretoken" not in line and b"Request ID" not in line
    ]


def test_an_unknown_user_costs_one_password_hash_too(
    viewer: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher = type(get_hasher())
    encode, hashed = hasher.encode, []
    monkeypatch.setattr(hasher, "encode", lambda *args: hashed.append(1) or encode(*args))
    try_to_sign_in(client, "vera")
    assert len(hashed) == 1
    try_to_sign_in(client, "nobody")
    assert len(hashed) == 2


def test_somebody_switched_off_stays_outside(viewer: User, client: Client) -> None:
    User.objects.update(is_active=False)
    assert try_to_sign_in(client, "vera", PASSWORD) == 422


@pytest.mark.usefixtures("stopped_clock")
def test_of_fifty_tries_the_sixth_and_all_after_are_refused(viewer: User, client: Client) -> None:
    codes = [try_to_sign_in(client, "vera") for _ in range(50)]
    assert codes == [422] * 5 + [429] * 45
    assert try_to_sign_in(client, "vera", PASSWORD) == 429


@pytest.mark.usefixtures("stopped_clock")
def test_one_address_cannot_try_many_accounts(client: Client) -> None:
    codes = [try_to_sign_in(client, f"user{n}") for n in range(8)]
    assert codes == [422] * 5 + [429] * 3


@pytest.mark.usefixtures("stopped_clock")
def test_many_addresses_cannot_try_one_account(viewer: User, client: Client) -> None:
    codes = [try_to_sign_in(client, "vera", REMOTE_ADDR=f"203.0.113.{n}") for n in range(8)]
    assert codes == [422] * 5 + [429] * 3


@pytest.mark.usefixtures("stopped_clock")
def test_an_address_cannot_claim_to_be_another(viewer: User, client: Client) -> None:
    codes = [
        try_to_sign_in(client, f"user{n}", HTTP_X_FORWARDED_FOR=f"203.0.113.{n}") for n in range(8)
    ]
    assert codes[-1] == 429


@pytest.mark.usefixtures("stopped_clock")
def test_a_device_that_signed_in_before_is_not_kept_out_by_strangers(
    viewer: User, client: Client
) -> None:
    try_to_sign_in(client, "vera", PASSWORD)
    client.post("/sign-out/")
    stranger = Client(REMOTE_ADDR="203.0.113.7")
    while try_to_sign_in(stranger, "vera") != 429:
        pass
    assert try_to_sign_in(Client(), "vera", PASSWORD) == 429
    assert try_to_sign_in(client, "vera", PASSWORD) == 302


@pytest.mark.usefixtures("stopped_clock")
def test_a_refused_try_says_when_to_come_back(viewer: User, client: Client) -> None:
    for _ in range(5):
        try_to_sign_in(client, "vera")
    answer = client.post(URL, {"username": "vera", "password": PASSWORD})
    assert 1 <= int(answer["Retry-After"]) <= 6


def test_waits_double_and_end() -> None:
    waits = [throttle.wait_after(failures).total_seconds() for failures in (4, 5, 6, 7, 12, 99)]
    assert waits == [0, 5, 10, 20, 640, 900]


def test_a_wait_that_is_over_allows_one_more_try() -> None:
    now = timezone.now()
    keys = throttle.keys_of("sign-in", "vera", "203.0.113.7")
    for _ in range(5):
        throttle.begin(keys, now)
    with pytest.raises(throttle.TooManyTries):
        throttle.begin(keys, now + timedelta(seconds=4))
    throttle.begin(keys, now + timedelta(seconds=5))
    with pytest.raises(throttle.TooManyTries) as refused:
        throttle.begin(keys, now + timedelta(seconds=6))
    assert refused.value.seconds == 10


@pytest.mark.usefixtures("stopped_clock")
def test_an_own_account_buys_no_free_guesses_at_others(client: Client) -> None:
    make_user("mallory")
    for n in range(4):
        try_to_sign_in(client, f"user{n}")
        try_to_sign_in(client, "mallory", PASSWORD)
        client.post("/sign-out/")
    assert try_to_sign_in(client, "user5") == 422
    assert try_to_sign_in(client, "user6") == 429


def test_failures_are_forgotten_after_a_day() -> None:
    now = timezone.now()
    keys = throttle.keys_of("sign-in", "vera", "203.0.113.7")
    for _ in range(5):
        throttle.begin(keys, now)
    throttle.begin(keys, now + timedelta(days=1, seconds=1))
    assert {row.failures for row in Throttle.objects.all()} == {1}


def test_a_typed_name_is_not_written_down_in_clear(client: Client) -> None:
    try_to_sign_in(client, "my-secret-password")
    assert not Throttle.objects.filter(key__contains="secret").exists()
    entry = AuditEntry.objects.get(action="session.refused")
    assert "secret" not in str(entry.__dict__)


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "/\\evil.example",
        "\t//evil",
    ],
)
def test_signing_in_leads_to_no_other_site(viewer: User, client: Client, target: str) -> None:
    data = {"username": "vera", "password": PASSWORD, "next": target}
    assert client.post(URL, data).url == "/"


def test_signing_in_leads_back_to_the_page_asked_for(viewer: User, client: Client) -> None:
    asked = client.get("/profile/?x=1")
    assert asked.url == "/sign-in/?next=%2Fprofile%2F%3Fx%3D1"
    data = {"username": "vera", "password": PASSWORD, "next": "/profile/?x=1"}
    assert client.post(URL, data).url == "/profile/?x=1"


def test_a_fragment_is_never_the_sign_in_page(client: Client) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/team/"}
    answer = client.get("/profile/", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["HX-Redirect"] == "/sign-in/?next=http%3A%2F%2Ftestserver%2Fteam%2F"


def test_a_dangerous_act_needs_the_password_of_a_short_while_ago(
    client_of: ClientOf, viewer: User
) -> None:
    client = client_of(viewer)
    assert client.get("/profile/password/").status_code == 200
    age_session(client, authenticated_at=601)
    asked = client.get("/profile/password/")
    assert asked.url == "/sign-in/again/?next=%2Fprofile%2Fpassword%2F"
    data = {"password": "wrong", "next": "/profile/password/"}
    assert client.post("/sign-in/again/", data).status_code == 422
    again = client.post("/sign-in/again/", data | {"password": PASSWORD})
    assert again.url == "/profile/password/"
    assert client.get("/profile/password/").status_code == 200


@pytest.mark.usefixtures("stopped_clock")
def test_guessing_the_password_of_an_open_session_is_slowed_down(
    client_of: ClientOf, viewer: User
) -> None:
    client = client_of(viewer)
    codes = [client.post("/sign-in/again/", {"password": "x"}).status_code for _ in range(7)]
    assert codes == [422] * 5 + [429] * 2


def age_session(client: Client, **ages: int) -> None:
    """Make the session look as if these moments were so many seconds ago."""
    session = client.session
    for name, seconds in ages.items():
        session[name] = int(time.time()) - seconds
    session.save()


@pytest.mark.parametrize(
    ("ages", "is_over"),
    [
        ({"active_at": 2 * 3600 + 1}, True),
        ({"active_at": 2 * 3600 - 60}, False),
        ({"signed_in_at": 12 * 3600 + 1, "active_at": 0}, True),
        ({"signed_in_at": 12 * 3600 - 60, "active_at": 0}, False),
    ],
)
def test_a_session_ends_idle_or_old(
    client_of: ClientOf, viewer: User, ages: dict[str, int], is_over: bool
) -> None:
    client = client_of(viewer)
    age_session(client, **ages)
    assert (client.get("/profile/").status_code == 302) is is_over


def test_a_page_that_polls_for_ever_keeps_no_session_alive(
    client_of: ClientOf, viewer: User
) -> None:
    client = client_of(viewer)
    age_session(client, active_at=7000)
    client.get("/profile/", headers={"HX-Request": "true"})
    assert time.time() - client.session["active_at"] > 6900
    client.get("/profile/")
    assert time.time() - client.session["active_at"] < 60


def test_the_session_has_another_key_after_signing_in(viewer: User, client: Client) -> None:
    session = client.session
    session["planted"] = True
    session.save()
    client.cookies["covet-session"] = planted = session.session_key
    try_to_sign_in(client, "vera", PASSWORD)
    assert client.cookies["covet-session"].value != planted


def test_the_session_cookie_is_out_of_reach_of_scripts(viewer: User, client: Client) -> None:
    try_to_sign_in(client, "vera", PASSWORD)
    for name in ("covet-session", "covet-device"):
        assert client.cookies[name]["httponly"]
        assert client.cookies[name]["samesite"] == "Lax"


def test_signing_out_ends_the_session(client_of: ClientOf, viewer: User) -> None:
    client = client_of(viewer)
    assert client.get("/sign-out/").status_code == 405
    client.post("/sign-out/")
    assert client.get("/profile/").status_code == 302
    assert client_of(AnonymousUser()).post("/sign-out/").status_code == 302
