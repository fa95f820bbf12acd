"""One's own account: password, second factor, reset by email, the first owner."""

from __future__ import annotations

import re
import threading
import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from covetbackup.access import set_up
from covetbackup.access.mail import THREAD_NAME
from covetbackup.access.models import Membership, Team, User
from covetbackup.access.roles import Role
from covetbackup.audit.models import AuditEntry
from tests.web.conftest import ClientOf
from tests.web.factories import PASSWORD, make_member

NEW = "staple battery horse"
NEW_TWICE = {"new_password1": NEW, "new_password2": NEW}


def sign_in(client: Client, name: str, password: str = PASSWORD) -> str:
    """Where the answer leads to, "" if it leads nowhere."""
    answer = client.post("/sign-in/", {"username": name, "password": password})
    return answer.headers.get("Location", "")


def test_a_new_password_ends_all_other_sessions(client_of: ClientOf, viewer: User) -> None:
    here, elsewhere = client_of(viewer), client_of(viewer)
    key = here.session.session_key
    assert here.post("/profile/password/", NEW_TWICE).status_code == 302
    assert here.get("/profile/").status_code == 200
    assert here.session.session_key != key
    assert elsewhere.get("/profile/").status_code == 302
    assert sign_in(elsewhere, "vera") == ""
    assert sign_in(elsewhere, "vera", NEW) == "/"


@pytest.mark.parametrize("bad", ["short", "password1234", "123456789012", "vera-vera"])
def test_a_password_that_is_easily_guessed_is_refused(
    client_of: ClientOf, viewer: User, bad: str
) -> None:
    data = {"new_password1": bad, "new_password2": bad}
    assert client_of(viewer).post("/profile/password/", data).status_code == 422
    viewer.refresh_from_db()
    assert viewer.check_password(PASSWORD)


def test_saving_the_profile_writes_nothing_else_of_the_user(
    client_of: ClientOf, viewer: User
) -> None:
    client = client_of(viewer)
    with CaptureQueriesContext(connection) as queries:
        client.post("/profile/", {"time_zone": "Asia/Kathmandu", "theme": "dark"})
        client.post("/profile/email/", {"email": "vera@example.org"})
    updates = [one["sql"] for one in queries if one["sql"].startswith('UPDATE "access_user"')]
    assert len(updates) == 2
    assert not any('"password"' in one or '"is_active"' in one for one in updates)


def test_the_profile_sets_zone_and_theme(client_of: ClientOf, viewer: User) -> None:
    client = client_of(viewer)
    client.post("/profile/", {"time_zone": "Asia/Kathmandu", "theme": "dark"})
    page = client.get("/profile/").content.decode()
    assert 'data-theme="dark"' in page
    assert "Asia/Kathmandu" in page


def test_a_time_zone_that_does_not_exist_is_refused(client_of: ClientOf, viewer: User) -> None:
    data = {"time_zone": "../../etc/passwd", "theme": "dark"}
    assert client_of(viewer).post("/profile/", data).status_code == 422


# Second factor


@pytest.fixture
def app_of_vera(viewer: User) -> TOTPDevice:
    return TOTPDevice.objects.create(user=viewer, name="App", confirmed=True)


def code_of(app: TOTPDevice, drift: int = 0) -> str:
    return f"{totp(app.bin_key, drift=drift):06d}"


def test_an_app_counts_once_its_first_code_was_typed(client_of: ClientOf, viewer: User) -> None:
    client = client_of(viewer)
    client.post("/profile/factor/begin/")
    app = TOTPDevice.objects.get(user=viewer)
    page = client.get("/profile/factor/").content.decode()
    assert "otpauth://totp/CovetBackup" in page
    assert sign_in(Client(), "vera") == "/"
    assert client.post("/profile/factor/confirm/", {"code": "000000"}).status_code == 422
    TOTPDevice.objects.update(throttling_failure_count=0)
    codes = client.post("/profile/factor/confirm/", {"code": code_of(app)}).content.decode()
    assert len(re.findall(r"\b[0-9a-f]{10}\n", codes)) == 10
    assert sign_in(Client(), "vera") == "/sign-in/code/?next=%2F"
    assert "otpauth" not in client.get("/profile/factor/").content.decode()


@pytest.mark.usefixtures("app_of_vera")
def test_the_password_alone_does_not_sign_in(client: Client) -> None:
    assert sign_in(client, "vera") == "/sign-in/code/?next=%2F"
    assert client.get("/profile/").status_code == 302
    assert client.post("/sign-in/code/", {"code": "000000"}).status_code == 422
    assert client.get("/profile/").status_code == 302


def test_password_and_code_sign_in(client: Client, app_of_vera: TOTPDevice) -> None:
    sign_in(client, "vera")
    answer = client.post("/sign-in/code/", {"code": code_of(app_of_vera), "next": "/team/"})
    assert (answer.status_code, answer.url) == (302, "/team/")
    assert client.get("/profile/").status_code == 200


def test_a_code_works_once(app_of_vera: TOTPDevice) -> None:
    code = code_of(app_of_vera)
    answers = []
    for client in (Client(), Client()):
        sign_in(client, "vera")
        answers.append(client.post("/sign-in/code/", {"code": code}).status_code)
    assert answers == [302, 422]


def test_a_recovery_code_works_once(viewer: User, app_of_vera: TOTPDevice) -> None:
    device = viewer.staticdevice_set.create(name="Recovery codes")
    device.token_set.create(token="0123456789")
    answers = []
    for client in (Client(), Client()):
        sign_in(client, "vera")
        answers.append(client.post("/sign-in/code/", {"code": "0123456789"}).status_code)
        TOTPDevice.objects.update(throttling_failure_count=0)
    assert answers == [302, 422]


@pytest.mark.usefixtures("app_of_vera")
def test_guessing_codes_is_slowed_down(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    sign_in(client, "vera")
    codes = [client.post("/sign-in/code/", {"code": str(n)}).status_code for n in range(7)]
    assert codes == [422] * 5 + [429] * 2


@pytest.mark.usefixtures("app_of_vera")
def test_the_right_password_is_forgotten_after_five_minutes(client: Client) -> None:
    sign_in(client, "vera")
    session = client.session
    session["pending_sign_in"] |= {"at": int(time.time()) - 301}
    session.save()
    assert client.get("/sign-in/code/").url == "/sign-in/"


def test_the_app_is_given_up_with_a_code_only(
    client_of: ClientOf, viewer: User, app_of_vera: TOTPDevice
) -> None:
    client = client_of(viewer)
    assert client.post("/profile/factor/end/", {"code": "000000"}).status_code == 422
    TOTPDevice.objects.update(throttling_failure_count=0)
    assert client.post("/profile/factor/end/", {"code": code_of(app_of_vera)}).status_code == 302
    assert sign_in(Client(), "vera") == "/"


# A forgotten password


def ask_for_a_link(client: Client, email: str, **headers: str) -> str:
    """The page after asking, once all mail is sent."""
    answer = client.post("/password/reset/", {"email": email}, follow=True, **headers)
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join()
    return answer.content.decode()


def links_in_mail() -> list[str]:
    return [
        re.search(r"^https?://\S+", message.body, re.MULTILINE).group() for message in mail.outbox
    ]


@pytest.fixture
def no_mail_yet() -> None:
    mail.outbox = []


@pytest.mark.usefixtures("no_mail_yet")
def test_a_forgotten_password_is_replaced_by_mail(viewer: User, client: Client) -> None:
    elsewhere = Client()
    sign_in(elsewhere, "vera")
    ask_for_a_link(client, viewer.email)
    [link] = links_in_mail()
    assert link.startswith(settings.SITE_URL + "/password/set/")
    form = client.get(link.removeprefix(settings.SITE_URL)).url
    assert client.post(form, NEW_TWICE).status_code == 302
    assert sign_in(Client(), "vera", NEW) == "/"
    assert elsewhere.get("/profile/").status_code == 302
    assert AuditEntry.objects.filter(action="user.set-password", object_name="vera").exists()
    assert (
        "is no longer valid" in Client().get(link.removeprefix(settings.SITE_URL)).content.decode()
    )


@pytest.mark.usefixtures("no_mail_yet")
def test_asking_for_a_link_does_not_tell_who_has_an_account(viewer: User) -> None:
    assert ask_for_a_link(Client(), viewer.email) == ask_for_a_link(Client(), "no@example.com")
    assert len(mail.outbox) == 1


@pytest.mark.usefixtures("no_mail_yet")
def test_nobody_can_fill_a_mailbox_with_links(viewer: User) -> None:
    pages = {ask_for_a_link(Client(), viewer.email, REMOTE_ADDR=f"203.0.113.{n}") for n in range(9)}
    assert len(pages) == 1
    assert len(mail.outbox) == 5


@pytest.mark.usefixtures("no_mail_yet")
def test_the_link_does_not_lead_to_whatever_host_was_asked(viewer: User) -> None:
    ask_for_a_link(Client(), viewer.email, HTTP_HOST="localhost", HTTP_X_FORWARDED_HOST="evil")
    assert links_in_mail()[0].startswith(settings.SITE_URL + "/")


# The first owner

OWNER = {
    "username": "first",
    "email": "first@example.com",
    "password1": NEW,
    "password2": NEW,
    "team": "Crew",
}


def set_up_path() -> str:
    return set_up.set_up_link().removeprefix(settings.SITE_URL)


def test_the_first_visitor_with_the_link_becomes_owner(client: Client) -> None:
    path = set_up_path()
    assert client.get(path).status_code == 200
    assert client.post(path, OWNER).url == "/"
    assert client.get("/profile/").status_code == 200
    membership = Membership.objects.get()
    assert (membership.user.username, membership.team.name) == ("first", "Crew")
    assert membership.role == Role.OWNER


def test_the_team_that_is_there_gets_the_first_owner(client: Client, team: Team) -> None:
    client.post(set_up_path(), {k: v for k, v in OWNER.items() if k != "team"})
    assert Membership.objects.get().team == team


def test_the_set_up_page_is_gone_once_there_is_a_user(client: Client, team: Team) -> None:
    path = set_up_path()
    make_member(team, Role.VIEWER)
    assert client.get(path).status_code == 404
    assert client.post(path, OWNER).status_code == 404
    assert User.objects.count() == 1
    with pytest.raises(CommandError, match="there are users already"):
        call_command("set_up_link")


def test_without_the_right_link_nobody_sets_up(client: Client) -> None:
    path = set_up_path()
    assert client.post(path[:-5] + "AAAA/", OWNER).status_code == 404
    assert client.post("/set-up/x/", OWNER).status_code == 404
    assert not User.objects.exists()


def test_a_set_up_link_is_good_for_a_day(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    path = set_up_path()
    later = time.time() + timedelta(days=1, minutes=1).total_seconds()
    monkeypatch.setattr(time, "time", lambda: later)
    assert client.get(path).status_code == 404
