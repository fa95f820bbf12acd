"""What an outage of the catalog does to a claim, to a write and to a command."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.db.models.functions import Now

from covetbackup.jobs import dispatch, outage, queue
from covetbackup.jobs.models import Job, JobAttempt, Node
from covetbackup.jobs.worker import supervisor
from covetbackup.jobs.worker.context import WorkerContext
from tests.web.factories import make_job, make_team


@pytest.fixture
def job() -> Job:
    return make_job(make_team("crew"), run_after=Now(), max_attempts=1)


@pytest.fixture
def node() -> uuid.UUID:
    row = Node.objects.create(
        instance=uuid.uuid4(), host="here", queue="jobs", pid=1, version="1", capacity=4,
        started_at=Now(), heartbeat_at=Now(),
    )  # fmt: skip
    return row.pk


@pytest.fixture
def broken_commit(committed_catalog: Path, job: Job, node: uuid.UUID) -> pytest.MonkeyPatch:
    """Breaks the next commit: see `lose`."""
    return pytest.MonkeyPatch()


def lose_next_commit(patch: pytest.MonkeyPatch, *, was_taken: bool) -> None:
    """The catalog goes away at the next commit, before or after it takes it."""
    commit = connection.commit

    def lost() -> None:
        patch.undo()
        if was_taken:
            commit()
        raise OperationalError("server closed the connection unexpectedly")

    patch.setattr(connection, "commit", lost)


@pytest.mark.parametrize("was_taken", [True, False])
def test_a_claim_whose_answer_was_lost_is_kept_if_the_catalog_has_it(
    broken_commit: pytest.MonkeyPatch, job: Job, node: uuid.UUID, was_taken: bool
) -> None:
    lose_next_commit(broken_commit, was_taken=was_taken)
    claim = queue.claim(job.pk, node, 1)
    job.refresh_from_db()
    if was_taken:
        assert claim is not None and (claim.token, claim.attempt) == (job.token, 1)
    else:
        assert claim is None and job.state == "queued"
    assert JobAttempt.objects.filter(job=job).count() == was_taken


def test_a_job_whose_worker_lost_the_catalog_goes_back_without_costing_its_attempt(
    job: Job, node: uuid.UUID
) -> None:
    claim = queue.claim(job.pk, node, 1)
    assert claim is not None
    lost = supervisor.Supervision(claim, WorkerContext("jobs"))
    lost.stop_reason = supervisor.Stop.LOST
    lost.finalize(-9)
    job.refresh_from_db()
    assert (job.state, job.attempt, job.error_code) == ("queued", 0, "CatalogUnavailable")
    place = dispatch.queue_position(job)
    assert place is not None and place.is_retry
    lost.finalize(-9)  # another has the job, or will
    assert JobAttempt.objects.filter(job=job).count() == 1


def test_a_write_is_tried_again_until_the_catalog_takes_it_or_time_is_over(
    committed_catalog: Path,
) -> None:
    tries = []

    def write() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("away")
        return "written"

    assert outage.with_patience(write) == "written" and len(tries) == 3
    tries.clear()
    with pytest.raises(OperationalError):
        outage.with_patience(write, seconds=0)


def test_inside_a_transaction_nothing_is_repeated() -> None:
    tries = []

    @outage.patient
    def write() -> None:
        tries.append(1)
        raise OperationalError("away")

    with pytest.raises(OperationalError):
        write()
    assert len(tries) == 1


def test_a_command_says_in_a_sentence_that_the_catalog_does_not_answer() -> None:
    finished = subprocess.run(
        [sys.executable, "manage.py", "worker"],
        cwd=settings.BASE_DIR,
        env=os.environ | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 1
    assert "the catalog does not answer: connection failed" in finished.stderr
    assert "Traceback" not in finished.stderr
