"""A parallel load that deadlocks is done again with one job."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.postgresql.load import PgRestore, SpooledLoad
from covetbackup.core.errors import SinkFailed

DEADLOCKS = (
    'case "$1" in --jobs=1) cat "$2";; *) echo "ERROR:  deadlock detected" >&2; exit 1;; esac'
)
FAILS = 'echo "ERROR:  no room" >&2; exit 1'


def load_with(script: str, emptied: list[str]) -> SpooledLoad:
    command = PgRestore(["sh", "-c", script, "sh"], {}, (), lambda: None)
    return SpooledLoad(
        command, jobs=2, expected_bytes=0, empty_again=lambda: emptied.append("again")
    )


def test_a_deadlock_empties_the_target_and_loads_with_one_job() -> None:
    emptied: list[str] = []
    sink = load_with(DEADLOCKS, emptied)
    sink.write(b"archive")

    sink.commit()

    assert emptied == ["again"]


def test_any_other_failure_stays_one() -> None:
    emptied: list[str] = []
    sink = load_with(FAILS, emptied)
    sink.write(b"archive")

    with pytest.raises(SinkFailed, match="no room"):
        sink.commit()
    sink.abort()

    assert emptied == []
