"""Many at once: the audit log's chain, the throttle, the last owner. Real commits, real threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from covetbackup.access import teams, throttle
from covetbackup.access.models import Membership, Team
from covetbackup.access.roles import Role
from covetbackup.audit.log import actor_of, head, record, verify_chain
from covetbackup.core.errors import Conflict
from tests.web.factories import make_member

pytestmark = pytest.mark.usefixtures("committed_catalog")

AT_ONCE = 8


def all_at_once(act: Callable[[int], object]) -> list[object]:
    """What each of the threads returned, or the error it ended with."""
    barrier = Barrier(AT_ONCE)

    def run(number: int) -> object:
        barrier.wait(timeout=10)
        try:
            return act(number)
        except (Conflict, throttle.TooManyTries) as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(run, range(AT_ONCE)))


def test_entries_written_at_once_make_one_chain(committed_catalog: Path) -> None:
    def write(_number: int) -> None:
        for _ in range(5):
            record(actor_of(None), "test.act")

    all_at_once(write)
    assert head()[0] == 5 * AT_ONCE
    assert verify_chain() is None


def test_a_hundred_guesses_at_once_are_not_all_free() -> None:
    keys = throttle.keys_of("sign-in", "vera", "203.0.113.7")
    now = timezone.now()
    answers = all_at_once(lambda _: throttle.begin(keys, now))
    assert sum(answer is None for answer in answers) == throttle.FREE_TRIES


def test_owners_who_demote_each_other_leave_one(team: Team) -> None:
    owners = [make_member(team, Role.OWNER).memberships.get() for _ in range(AT_ONCE)]
    answers = all_at_once(lambda number: teams.change_role(owners[number], Role.VIEWER))
    assert Membership.objects.filter(role=Role.OWNER).count() == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 1
