"""The steps that a new installation still needs, in order."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.urls import reverse

from backups.models import Backup, Repository, Server
from backups.models.backup import RESTORABLE_STATES
from covetbackup.access.models import User
from covetbackup.jobs.models import JobState
from restores.models import Restore


@dataclass(frozen=True, slots=True)
class FirstStep:
    """A step; `url` is the page for it."""

    title: str
    why: str
    url: str
    is_done: bool


def first_steps(user: User) -> list[FirstStep]:
    """Return all steps, [] once each is done."""
    good = Backup.objects.visible_to(user).filter(state__in=RESTORABLE_STATES)
    restored = Restore.objects.visible_to(user).filter(job__state=JobState.SUCCEEDED)
    steps = [
        FirstStep(
            "Add a repository",
            "A folder, or a bucket: better not on the machine that is backed up.",
            reverse("repositories"),
            Repository.objects.visible_to(user).exists(),
        ),
        FirstStep(
            "Add a server",
            "Its databases are found for you.",
            reverse("server-add"),
            Server.objects.visible_to(user).exists(),
        ),
        FirstStep(
            "Take the first backup",
            "From the page of a database, with live progress.",
            reverse("databases"),
            good.exists(),
        ),
        FirstStep(
            "Restore it once, into a new database",
            "A backup is proven only by restoring it. Nothing that exists is touched.",
            reverse("backups") + "?state=restorable",
            restored.exists(),
        ),
        FirstStep(
            "Move the recovery key off this machine",
            "It opens every backup if this machine is lost.",
            reverse("keys"),
            not settings.RECOVERY_KEY_FILE.exists(),
        ),
    ]
    return [] if all(step.is_done for step in steps) else steps
