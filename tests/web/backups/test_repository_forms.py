"""A repository is tried before it is stored: real stores, real faults, nothing left behind."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from backups.models import Repository
from backups.onboarding import add_repository
from covetbackup.access.models import Team, User
from covetbackup.audit.models import AuditEntry, Outcome
from covetbackup.core.errors import StorageFull
from tests.support.s3 import S3Endpoint
from tests.web.conftest import ClientOf

pytest_plugins = ["tests.web.catalog_fixtures"]

CANARY = "s3cret-c4nary"


@pytest.fixture
def anna(client_of: ClientOf, admin: User, vault: Path) -> Client:
    return client_of(admin)


def bucket(team: Team, s3: S3Endpoint, **changes: str) -> dict[str, str]:
    return {
        "team": str(team.pk),
        "name": "store",
        "bucket": s3.bucket,
        "endpoint": s3.url,
        "region": "us-east-1",
        "path_style": "on",
        "access_key_id": s3.access_key,
        "secret_access_key": s3.secret_key,
    } | changes


def refused(client: Client, kind: str, answers: dict[str, str]) -> str:
    """The page that says why; no row was made, and the try is on record."""
    answer = client.post(reverse("repository-add") + f"?kind={kind}", answers)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert CANARY not in page and "notice--bad" in page
    assert not Repository.objects.exists()
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.outcome) == ("repository.test", Outcome.FAILED)
    return page


def test_a_bucket_that_can_do_it_all_is_stored(
    anna: Client, team: Team, rclone_s3: S3Endpoint
) -> None:
    answer = anna.post(reverse("repository-add") + "?kind=s3", bucket(team, rclone_s3))
    assert answer.url == reverse("repository", args=[Repository.objects.get().pk])
    assert sorted(rclone_s3.keys()) == ["RECOVERY.md", "covet.json", "covet_open.py"]


def test_a_bucket_that_is_not_there(anna: Client, team: Team, rclone_s3: S3Endpoint) -> None:
    page = refused(anna, "s3", bucket(team, rclone_s3, bucket="covet-of-nobody"))
    assert "covet-of-nobody" in page and "does not exist" in page
    assert "Create it, or is the name wrong?" in page and "Full message" in page


def test_a_secret_that_is_wrong(anna: Client, team: Team, rclone_s3: S3Endpoint) -> None:
    page = refused(anna, "s3", bucket(team, rclone_s3, secret_access_key=CANARY))
    assert "refused the credentials" in page and "Are they right" in page
    assert rclone_s3.keys() == []


def test_an_endpoint_where_nothing_answers(anna: Client, team: Team, rclone_s3: S3Endpoint) -> None:
    page = refused(anna, "s3", bucket(team, rclone_s3, endpoint="http://127.0.0.1:1"))
    assert "No answer about" in page and "Is the endpoint right and reachable?" in page
    assert "Could not connect to the endpoint URL" in page


def test_a_folder_that_cannot_be_written(
    anna: Client, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    # sysfs lets nobody make a folder, whoever asks: tests may run as root
    monkeypatch.setattr(settings, "REPOSITORY_ROOTS", [Path("/sys/kernel")])
    page = refused(
        anna, "local", {"team": str(team.pk), "name": "x", "folder": "/sys/kernel/covet"}
    )
    assert "/sys/kernel/covet" in page and "is it writable?" in page
    assert "Full message" in page


@pytest.mark.parametrize("room", [1_000, 50_000])
def test_a_disk_without_room_stays_as_empty_as_it_was(vault: Path, team: Team, room: int) -> None:
    """Neither for the guides, nor, though it became a repository, for the object of the test."""
    folder = vault / "disk"
    folder.mkdir()
    row = Repository(team=team, name="disk", url=f"file://{folder}")
    with files_of_at_most(room), pytest.raises(Exception, match="no room") as caught:
        add_repository(row, None)
    error = caught.value
    assert isinstance(error, StorageFull) or "write 64 KiB" in str(error).replace("kib", "KiB")
    assert "free space" in error.hint and error.details  # type: ignore[attr-defined]
    assert list(folder.rglob("*")) == [] and not Repository.objects.exists()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The kernel refuses to let any file grow larger: as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
