"""Recording in the audit log, and verification that nothing in it was changed or removed.

Each entry's digest covers its fields and the digest before it, so a change to any row, or its
removal, breaks the chain there. The last entries can be cut off unseen: compare `head()` with a
copy kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from django.db import connection, models, transaction
from django.http import HttpRequest
from django.utils import timezone

from covetbackup.access.addresses import client_address
from covetbackup.access.models import Team, User
from covetbackup.audit.models import AuditEntry, Outcome

FIRST = "0" * 64
"""The previous digest of the first entry."""

LOCK = 0x636F766574
"""PostgreSQL advisory lock: two transactions must not both follow the same last entry."""

_CHAINED = (
    "sequence",
    "team_id",
    "user_id",
    "actor",
    "action",
    "object_kind",
    "object_id",
    "object_name",
    "outcome",
    "address",
    "via",
    "details",
    "previous",
)


@dataclass(frozen=True, slots=True)
class Actor:
    """The user that acts, and the interface: `via` is "web", "command" or "worker"."""

    user: User | None
    name: str
    address: str
    via: str


def actor_of(user: User | None, via: str = "command") -> Actor:
    """Return the actor of a command or a worker: the user it acts for, or the system."""
    return Actor(user, user.get_username() if user else "system", "", via)


def record(
    request_or_actor: HttpRequest | Actor,
    action: str,
    *,
    team: Team | None = None,
    subject: models.Model | None = None,
    outcome: str = Outcome.DONE,
    details: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Add one entry, in the caller's transaction if there is one.

    `action` is one of the codes in `audit.actions`. `details` must hold no secrets and be plain
    JSON.
    """
    actor = _actor(request_or_actor)
    entry = AuditEntry(
        at=timezone.now(),
        team=team,
        user=actor.user,
        actor=actor.name[:150],
        action=action,
        outcome=outcome,
        address=actor.address,
        via=actor.via,
        details=dict(details or {}),
        **_described(subject),
    )
    with transaction.atomic():
        _append(entry)
    return entry


def head() -> tuple[int, str]:
    """Return the sequence number and the digest of the last entry."""
    last = AuditEntry.objects.order_by("-sequence").values_list("sequence", "digest").first()
    return last or (0, FIRST)


def verify_chain() -> int | None:
    """Return the sequence of the first entry that is changed or missing, None if there is none."""
    expected, previous = 1, FIRST
    for entry in AuditEntry.objects.order_by("sequence").iterator(chunk_size=2000):
        if entry.sequence != expected:
            return expected
        if entry.previous != previous or entry.digest != digest_of(entry):
            return entry.sequence
        expected, previous = expected + 1, entry.digest
    return None


def digest_of(entry: AuditEntry) -> str:
    """Return the SHA-256, in hexadecimal, of all fields as JSON with sorted keys and no spaces."""
    fields: dict[str, Any] = {name: getattr(entry, name) for name in _CHAINED}
    fields["at"] = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _append(entry: AuditEntry) -> None:
    # SQLite needs no lock here: its transactions are IMMEDIATE, so there is one writer.
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    sequence, entry.previous = head()
    entry.sequence = sequence + 1
    entry.digest = digest_of(entry)
    entry.save(force_insert=True)


def _actor(request_or_actor: HttpRequest | Actor) -> Actor:
    if isinstance(request_or_actor, Actor):
        return request_or_actor
    user = request_or_actor.user if isinstance(request_or_actor.user, User) else None
    name = user.get_username() if user else "anonymous"
    return Actor(user, name, client_address(request_or_actor), "web")


def _described(subject: models.Model | None) -> dict[str, str]:
    if subject is None:
        return {}
    name = str(subject)[:300]
    return {
        "object_kind": subject._meta.model_name or "",
        "object_id": str(subject.pk),
        "object_name": name,
    }
