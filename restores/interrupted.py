"""What became of a restore that was stopped while it gave its result a place: asked of the target
server, once nobody works on it any more."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from django.utils import timezone

from backups.engine_factory import server_engine
from backups.models import Server
from backups.timeout import within
from covetbackup.core.errors import Conflict, CovetError, DatabaseUnavailable
from restores.models import Restore
from restores.result import Kept, Remains, Stage, stage_of

_LOOK_SECONDS = 30.0


def became_real(restore: Restore, retained_as: str) -> bool:
    """Whether an attempt that had announced its last step has done it. Raises `CovetError` if the
    server cannot be asked, `Conflict` if what was added may be there: rows without a key would be
    there twice."""
    if not restore.request.into_existing:
        return _was_swapped(restore, retained_as)
    was_added = _was_added(restore)
    if was_added is None:
        raise Conflict(
            f"an attempt before this one was stopped while {restore.request.database} got what was"
            " restored",
            "all of it is there or nothing: look into the tables before you try again",
        )
    return was_added


def look_at_remains(restore: Restore) -> Remains:
    """What a restore that has ended without success left. Waits half a minute at most."""
    if restore.job is not None and restore.job.started_at is None:
        return Remains(Kept.NOTHING)
    server, name = restore.target_server, restore.request.database
    late = DatabaseUnavailable(f"{server} did not answer within {_LOOK_SECONDS:.0f} s")
    may_be_real = stage_of(restore) is Stage.PUBLISHING
    retained_as = restore.result.get("retained_as", "") if may_be_real else ""
    look = partial(_remains, server, name, may_be_real, retained_as, timezone.now())
    if restore.request.into_existing:
        look = partial(_remains_of_adding, restore)
    try:
        return within(_LOOK_SECONDS, look, late=late)
    except CovetError as error:
        return Remains(Kept.UNKNOWN, problem=error.message)


def _remains(
    server: Server, name: str, may_be_real: bool, retained_as: str, ended_at: datetime
) -> Remains:
    engine = server_engine(server)
    left: list[str] = []
    swept = engine.target().cleanup(ended_at, left.append)
    if retained_as:
        is_real = engine.replacement().was_swapped(name, retained_as)
    else:
        is_real = may_be_real and not engine.target().is_free(name)
    state = Kept.TARGET if is_real else Kept.NOTHING
    return Remains(state, swept, problem="; ".join(left), retained_as=retained_as)


def _remains_of_adding(restore: Restore) -> Remains:
    if stage_of(restore) is not Stage.PUBLISHING:
        return Remains(Kept.NOTHING)
    found = {True: Kept.TARGET, False: Kept.NOTHING, None: Kept.UNKNOWN}
    return Remains(found[_was_added(restore)])


def _was_swapped(restore: Restore, retained_as: str) -> bool:
    server = restore.target_server
    return bool(retained_as) and server_engine(server).replacement().was_swapped(
        restore.request.database, retained_as
    )


def _was_added(restore: Restore) -> bool | None:
    trace = restore.result.get("trace", "")
    return server_engine(restore.target_server).target().was_committed(trace) if trace else None
