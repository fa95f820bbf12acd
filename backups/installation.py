"""Setting up: key files, the first team with its encryption keys and repository, the first owner.

Done once, on request, for a catalog that is new. Run again it finds what is there and changes
nothing; a catalog whose key file is lost is refused, never given a new one.
"""

from __future__ import annotations

import secrets as random
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from backups import secrets
from backups.models import EncryptionKey, Installation, Repository
from backups.models.repository import KeyState
from backups.onboarding import add_repository
from covetbackup.access.models import Membership, Team, User
from covetbackup.access.roles import Role
from covetbackup.core.crypto import keyfile
from covetbackup.core.crypto.keyfile import FileKey
from covetbackup.core.crypto.keyring import new_keys
from covetbackup.core.crypto.keys import RawKey, Recipient, RecipientKey
from covetbackup.core.crypto.signing import Signer, TrustedSigner
from covetbackup.core.errors import BadSetting, CovetError

RECOVERY_TITLE = "CovetBackup recovery keys: keep away from the server, print a copy"

_KINDS: dict[type[FileKey], str] = {
    RawKey: "raw",
    Recipient: "x25519",
    RecipientKey: "x25519",
    Signer: "sign",
    TrustedSigner: "sign",
}


@dataclass(frozen=True, slots=True)
class SetUp:
    """The result of setting up an installation.

    `password` is shown once to the user who ran the command, and not stored. Fields of what existed
    before are empty; `problems` are the steps that failed.
    """

    team: Team
    owner: str = ""
    password: str = ""
    recovery_file: Path | None = None
    repository: Repository | None = None
    problems: tuple[str, ...] = ()


def prepare_files() -> list[Path]:
    """Make the secret-key file if it is missing; the paths that were made."""
    settings.VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    path: Path = settings.SECRET_KEY_FILE
    if path.exists():
        return []
    secrets.write_private(path, random.token_urlsafe(48) + "\n")
    return [path]


def set_up(*, team: str, owner: str = "", email: str = "", password: str = "") -> SetUp:
    """Bring a migrated catalog to the point where a backup can be asked for.

    An `owner` is made only while there is no user; without a `password` one is drawn. Raises
    `SecretsLocked` if the catalog has a key that is not at hand, `BadSetting`.
    """
    if not Installation.objects.exists():
        if not settings.CATALOG_KEYS_FILE.exists():
            secrets.create_key_file()
        secrets.set_canary()
    secrets.require_open()
    first = Team.objects.order_by("pk").first() or Team.objects.create(name=team)
    recovery_file = None if first.keys.exists() else make_keys(first)
    repository, problems = None, []
    if not first.repositories.exists():
        try:
            repository = _default_repository(first)
        except CovetError as error:
            problems.append(f"no default repository was made: {error}")
    if not owner or User.objects.exists():
        return SetUp(first, "", "", recovery_file, repository, tuple(problems))
    password = password or random.token_urlsafe(15)
    _make_owner(first, owner, email, password)
    return SetUp(first, owner, password, recovery_file, repository, tuple(problems))


def make_keys(team: Team) -> Path:
    """Create the first encryption keys of `team`; return the file with the recovery key.

    The file has mode 0600 and is to be moved away: the private recovery key is in that file only.
    Raises `SecretsLocked`, `BadSetting`.
    """
    if team.keys.exists():
        raise BadSetting(f"team {team} has keys already", "keys are rotated, not made anew")
    keys = new_keys()
    path = _recovery_path(team, timezone.now())
    with transaction.atomic():
        for key in keys.working:
            store_key(team, key, name=_NAMES[type(key)])
        # Last: if it cannot be written the rows are rolled back, and no backup was made with them.
        keyfile.create(path, keys.recovery, title=RECOVERY_TITLE)
    return path


_NAMES: dict[type[FileKey], str] = {
    RawKey: "Working key",
    Signer: "Signing key",
    Recipient: "Recovery key (public half)",
}


def store_key(
    team: Team, key: FileKey, *, name: str, state: KeyState = KeyState.ACTIVE
) -> EncryptionKey:
    """Add `key` to the team's keyring and return its row.

    Private keys are encrypted, public ones readable.
    """
    key_id = key.signer_id if isinstance(key, Signer | TrustedSigner) else key.key_id
    row = EncryptionKey.objects.create(
        team=team,
        name=name,
        key_id=key_id,
        kind=_KINDS[type(key)],
        public=_public(key),
        state=state,
    )
    if not isinstance(key, Recipient | TrustedSigner):
        secrets.encrypt_field(row, "secret", keyfile.encode(key))
    return row


def _public(key: FileKey) -> str:
    if isinstance(key, Signer):
        return keyfile.encode(key.trusted)
    if isinstance(key, RecipientKey):
        return keyfile.encode(key.recipient)
    return "" if isinstance(key, RawKey) else keyfile.encode(key)


def _recovery_path(team: Team, now: datetime) -> Path:
    """A name that is free: a recovery key is never overwritten, it may be the only one."""
    path: Path = settings.RECOVERY_KEY_FILE
    if not path.exists():
        return path
    return path.with_name(f"{path.stem}-{team.pk}-{now:%Y%m%dT%H%M%S}{path.suffix}")


def _default_repository(team: Team) -> Repository:
    folder = settings.REPOSITORY_ROOTS[0] / "repository"
    row = Repository(team=team, name="Local", url=f"file://{quote(str(folder))}", is_default=True)
    return add_repository(row, None)


@transaction.atomic
def _make_owner(team: Team, name: str, email: str, password: str) -> None:
    user = User.objects.create_superuser(name, email, password)
    Membership.objects.create(user=user, team=team, role=Role.OWNER)
