"""The command `covetbackup rebuild_catalog REPOSITORY`: add its backups to the catalog."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from backups import engine_factory
from backups.installation import store_key
from backups.management.lookups import TEAM_HELP, find_repository, find_team
from backups.management.reporting import ReportingCommand
from backups.models import Repository
from backups.models.repository import KeyState
from backups.onboarding import add_repository
from backups.rebuild import Rebuilt, rebuild
from covetbackup.access.models import Team
from covetbackup.audit.log import actor_of, record
from covetbackup.core.cli.exits import DAMAGED
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report
from covetbackup.core.cli.terminal import terminal_progress
from covetbackup.core.crypto import keyfile
from covetbackup.core.crypto.keyfile import FileKey
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.crypto.signing import Signer
from covetbackup.core.errors import BadSetting
from covetbackup.core.progress import Silent
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.storage.registry import open_storage, s3_credentials_from_file
from covetbackup.core.text import count_text


class Command(ReportingCommand):
    manual = Manual(
        "add the backups of a repository that the catalog does not know",
        "Servers and databases come back as placeholders. Nothing in the repository changes.",
        "covetbackup rebuild_catalog file:///srv/backups --key-file recovery.key",
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("repository", help="its name, or file:///path or s3://bucket/prefix")
        parser.add_argument("--team", default="", help=TEAM_HELP)
        parser.add_argument("--name", default="", help="for a repository not registered yet")
        parser.add_argument("--s3-credentials", type=Path, metavar="FILE")
        parser.add_argument(
            "--key-file",
            type=Path,
            action="append",
            default=[],
            metavar="FILE",
            help="keys that open the backups, such as the recovery key",
        )
        parser.add_argument(
            "--keep-keys",
            action="store_true",
            help="store those keys encrypted in the catalog, so that it can restore and verify",
        )

    def report(self, **options: Any) -> Report:
        team = find_team(options["team"])
        keys = [key for path in options["key_file"] for key in keyfile.read(path)]
        row = self._repository(team, options)
        if options["keep_keys"]:
            keep_keys(team, keys)
        quiet = options["quiet"] or not sys.stderr.isatty()
        ring = _joined(engine_factory.keyring_for(team), keys)
        with nullcontext(Silent()) if quiet else terminal_progress() as progress:
            result = rebuild(row, keyring=ring, progress=progress)
        details = {"added": len(result.added)}
        record(actor_of(None), "repository.rebuild", team=team, subject=row, details=details)
        return Report(_data(row, result), _lines(row, result), DAMAGED if result.damaged else 0)

    def _repository(self, team: Team, options: dict[str, Any]) -> Repository:
        given = options["repository"]
        if "://" not in given or team.repositories.filter(url=given).exists():
            return find_repository(given, team)
        file = options["s3_credentials"]
        credentials = s3_credentials_from_file(file) if file else None
        engine_factory.check_storage_url(given, has_credentials=credentials is not None)
        # A typing error must not make an empty repository somewhere.
        BackupRepository.open(open_storage(given, credentials), name=given)
        name = options["name"] or given.partition("?")[0][-100:]
        return add_repository(Repository(team=team, name=name, url=given), credentials)


def keep_keys(team: Team, keys: list[FileKey]) -> None:
    """Seal `keys` as the team's, to read with; those it has already stay as they are."""
    known = set(team.keys.values_list("key_id", flat=True))
    for key in keys:
        if isinstance(key, Signer):
            raise BadSetting(
                "a signing key is not imported: new backups are signed by one key only",
                "give the recovery key file, which holds its public half",
            )
        key_id = getattr(key, "key_id", None) or key.signer_id
        if key_id not in known:
            store_key(team, key, name=f"Imported {key_id}", state=KeyState.DECRYPT_ONLY)


def _joined(ring: Keyring, keys: list[FileKey]) -> Keyring:
    """The team's keys and those of the files; of two signers the team's, to trust both."""
    own = (*ring.raw, *ring.recipients, *ring.recipient_keys, *ring.trusted)
    signer = (ring.signer,) if ring.signer else ()
    others = [key.trusted if isinstance(key, Signer) else key for key in keys]
    return Keyring.of([*own, *signer, *others])


def _data(row: Repository, result: Rebuilt) -> dict[str, Any]:
    return {
        "repository": row.name,
        "added": result.added,
        "known": result.known,
        "sealed": result.sealed,
        "untrusted": result.untrusted,
        "incomplete": result.incomplete,
        "damaged": result.damaged,
    }


def _lines(row: Repository, result: Rebuilt) -> list[str]:
    lines = [f"{label}: damaged: {reason}" for label, reason in result.damaged.items()]
    lines.append(
        f"{row.name}: {count_text(len(result.added), 'backup')} added, "
        f"{len(result.known)} known already"
    )
    told = (
        (result.sealed, "sealed: give --key-file with a key that opens them"),
        (result.untrusted, "signed by nobody whom this team trusts: restores will ask"),
        (result.incomplete, "with objects missing"),
    )
    return [*lines, *(f"{len(labels)} {text}" for labels, text in told if labels)]
