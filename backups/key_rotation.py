"""Rotation of a team's working key: a new key in the catalog, all backups wrapped for it.

Data and manifests stay. The key before stays in the catalog to decrypt with, as copies that no
repository here holds may still need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db import transaction

from backups import engine_factory
from backups.installation import store_key
from backups.models import EncryptionKey, Repository
from backups.models.repository import KeyState
from covetbackup.access.models import Team
from covetbackup.core.crypto.keyring import new_working_key
from covetbackup.core.operations.rotate import RotationResult, rotate_keys
from covetbackup.core.progress import Progress

_WORKING = "raw"


@transaction.atomic
def replace_working_key(team: Team, now: datetime) -> EncryptionKey:
    """Create a working key for `team`; the ones before only decrypt from now on.

    Raises `SecretsLocked`.
    """
    before = team.keys.filter(kind=_WORKING, state=KeyState.ACTIVE)
    before.update(state=KeyState.DECRYPT_ONLY)
    return store_key(team, new_working_key(), name=f"Working key of {now:%Y-%m-%d %H:%M:%S}")


def rewrap_backups(team: Team, progress: Progress) -> Iterator[tuple[Repository, RotationResult]]:
    """Wrap every backup in the team's repositories for its active keys.

    Yields one result for each backup; a failure of one does not stop the others. Idempotent, and
    finishes what an interrupted run began. Raises `SecretsLocked`, and the errors of a repository
    that cannot be opened.
    """
    old, new = engine_factory.keyring_for(team), engine_factory.writing_keyring_for(team)
    for row in team.repositories.order_by("pk"):
        repository = engine_factory.open_repository(row)
        for result in rotate_keys(repository, old=old, new=new, progress=progress):
            yield row, result
