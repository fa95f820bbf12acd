"""Throttling of guesses: after a few failures each next try has to wait twice as long.

Counted for the account, or for the device once it has signed in to that account, and for the
address. The counters are in the catalog, so that all web processes share them. Nobody is locked
out for good: waits end, and a device that signed in before does not share the account's counter,
so strangers cannot keep its owner out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from covetbackup.access.addresses import network_of
from covetbackup.access.models import Throttle

FREE_TRIES = 5
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(days=1)


class TooManyTries(Exception):
    """Try again in `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many failed tries; wait {seconds} seconds")
        self.seconds = seconds


def keys_of(purpose: str, name: str, address: str, device: str = "") -> list[str]:
    """Return the counters of an attempt by `name` from `address`.

    Names are hashed: users mistype passwords into the field for the name.
    """
    digest = hashlib.sha256(name.casefold().encode()).hexdigest()[:40]
    who = f"{purpose}:device:{device}" if device else f"{purpose}:account:{digest}"
    return sorted([who, f"{purpose}:address:{network_of(address)}"])


@transaction.atomic
def begin(keys: Sequence[str], now: datetime) -> None:
    """Count a try before its outcome is known, or a hundred at once would all be free.

    Raises `TooManyTries`, and counts nothing, while any of the counters has to wait.
    """
    new = [Throttle(key=key, failed_at=now, wait_until=now) for key in keys]
    Throttle.objects.bulk_create(new, ignore_conflicts=True)  # so that there is a row to lock
    rows = list(Throttle.objects.select_for_update().filter(key__in=keys).order_by("key"))
    wait = max(row.wait_until - now for row in rows)
    if wait > timedelta(0):
        raise TooManyTries(int(wait.total_seconds()) + 1)
    for row in rows:
        is_old = now - row.failed_at > FORGOTTEN_AFTER
        row.failures = 1 if is_old else row.failures + 1
        row.failed_at, row.wait_until = now, now + wait_after(row.failures)
        row.save(update_fields=["failures", "failed_at", "wait_until"])


@transaction.atomic
def succeed(keys: Sequence[str], now: datetime) -> None:
    """Forget the account's failures after a right attempt, and do not count this one.

    An address keeps its other failures, or one own account would buy free guesses at others.
    """
    for key in keys:
        if ":address:" in key:
            Throttle.objects.filter(key=key).update(failures=F("failures") - 1, wait_until=now)
        else:
            Throttle.objects.filter(key=key).delete()
    Throttle.objects.filter(failed_at__lt=now - FORGOTTEN_AFTER).delete()


def wait_after(failures: int) -> timedelta:
    """Return the wait: 5 s after the fifth failure, then 10, 20 … up to 15 minutes."""
    if failures < FREE_TRIES:
        return timedelta(0)
    return min(FIRST_WAIT * 2 ** min(failures - FREE_TRIES, 10), LONGEST_WAIT)
