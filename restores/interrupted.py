"""Result of a restore that was interrupted at its commit, found out from the target server.

That is done once no process works on the restore any more.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from django.utils import timezone

from backups.engine_factory import server_engine
from backups.models import Server
from backups.timeout import run_with_timeout
from covetbackup.core.errors import Conflict, CovetError, DatabaseUnavailable
from restores.models import Restore
from restores.result import Leftovers, ResultStage, TargetContent, stage_of

_LOOK_SECONDS = 30.0


def was_committed(restore: Restore, retained_as: str) -> bool:
    """Return whether an attempt that had announced its commit has made it.

    Raises `CovetError` if the server cannot be asked, `Conflict` if rows may have been added: rows
    without a key would be there twice.
    """
    if not restore.request.into_existing:
        return _was_swapped(restore, retained_as)
    was_added = _was_loaded(restore)
    if was_added is None:
        raise Conflict(
            f"an attempt before this one was stopped while {restore.request.database} got what was"
            " restored",
            "all of it is there or nothing: look into the tables before you try again",
        )
    return was_added


def find_leftovers(restore: Restore) -> Leftovers:
    """Find out what a failed restore left. Waits half a minute at most."""
    if restore.job is not None and restore.job.started_at is None:
        return Leftovers(TargetContent.NOTHING)
    server, name = restore.target_server, restore.request.database
    late = DatabaseUnavailable(f"{server} did not answer within {_LOOK_SECONDS:.0f} s")
    may_be_real = stage_of(restore) is ResultStage.PUBLISHING
    retained_as = restore.result.get("retained_as", "") if may_be_real else ""
    look = partial(_find_leftovers, server, name, may_be_real, retained_as, timezone.now())
    if restore.request.into_existing:
        look = partial(_leftovers_in_existing, restore)
    try:
        return run_with_timeout(_LOOK_SECONDS, look, late=late)
    except CovetError as error:
        return Leftovers(TargetContent.UNKNOWN, problem=error.message)


def _find_leftovers(
    server: Server, name: str, may_be_real: bool, retained_as: str, ended_at: datetime
) -> Leftovers:
    engine = server_engine(server)
    left: list[str] = []
    swept = engine.target().cleanup(ended_at, left.append)
    if retained_as:
        is_real = engine.replacement().was_swapped(name, retained_as)
    else:
        is_real = may_be_real and not engine.target().is_free(name)
    state = TargetContent.TARGET if is_real else TargetContent.NOTHING
    return Leftovers(state, swept, problem="; ".join(left), retained_as=retained_as)


def _leftovers_in_existing(restore: Restore) -> Leftovers:
    if stage_of(restore) is not ResultStage.PUBLISHING:
        return Leftovers(TargetContent.NOTHING)
    found = {True: TargetContent.TARGET, False: TargetContent.NOTHING, None: TargetContent.UNKNOWN}
    return Leftovers(found[_was_loaded(restore)])


def _was_swapped(restore: Restore, retained_as: str) -> bool:
    server = restore.target_server
    return bool(retained_as) and server_engine(server).replacement().was_swapped(
        restore.request.database, retained_as
    )


def _was_loaded(restore: Restore) -> bool | None:
    trace = restore.result.get("trace", "")
    return server_engine(restore.target_server).target().was_committed(trace) if trace else None
