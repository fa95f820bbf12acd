"""Jobs, their attempts and events, and the workers that run them.

States of a job: queued → running → succeeded | failed | cancelled | interrupted; a running job
goes back to queued when it is retried or its worker drains. Each transition is one conditional
update in `queue`; nothing else writes `state`.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from covetbackup.access.models import Team, TeamQuerySet


class JobState(models.TextChoices):
    """The states of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


ACTIVE_STATES = (JobState.QUEUED, JobState.RUNNING)


class Node(models.Model):
    """One worker process group on one host, while it lives and for a while after.

    `place` is the booted kernel and its namespace of process ids: only there does a pid mean
    anything, so only there may one worker judge by pid that another is gone.
    """

    instance = models.UUIDField(primary_key=True)
    host = models.CharField(max_length=255)
    queue = models.CharField(max_length=64)
    place = models.CharField(max_length=100, blank=True)
    pid = models.IntegerField()
    version = models.CharField(max_length=32)
    capacity = models.IntegerField()
    is_draining = models.BooleanField(default=False)
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    ticked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class Job(models.Model):
    """One piece of long work. `argument` holds ids only, never secrets.

    `token` is written by the claim; every later write of the owner carries it. `version` grows
    with every change that a watcher could see. `slots` are what limits are counted by.
    `hook_due_at` is set while the hook of an ended job has not been called with success.
    """

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=32)
    title = models.CharField(max_length=300)
    argument = models.JSONField(default=dict)
    queue = models.CharField(max_length=64, default="jobs")
    state = models.CharField(max_length=16, choices=JobState, default=JobState.QUEUED)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    lock_key = models.CharField(max_length=200, blank=True)
    server_slot = models.CharField(max_length=64, blank=True)
    repository_slot = models.CharField(max_length=64, blank=True)
    attempt = models.IntegerField(default=0)
    max_attempts = models.IntegerField(default=1)
    run_after = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    dispatched_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    cancel_requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    token = models.UUIDField(null=True)
    owner = models.ForeignKey(Node, null=True, on_delete=models.SET_NULL, related_name="jobs")
    owner_pid = models.IntegerField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    phase = models.CharField(max_length=200, blank=True)
    done_bytes = models.BigIntegerField(default=0)
    total_bytes = models.BigIntegerField(null=True)
    rate = models.BigIntegerField(default=0)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    hint = models.TextField(blank=True)
    details = models.TextField(blank=True)
    version = models.IntegerField(default=0)
    hook_due_at = models.DateTimeField(null=True)

    objects = TeamQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = [
            models.Index(fields=["state", "queue", "run_after"], name="job_queue"),
            models.Index(fields=["team", "-id"], name="job_of_team"),
            models.Index(
                fields=["hook_due_at"], condition=Q(hook_due_at__isnull=False), name="job_hook_due"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["lock_key"],
                condition=Q(state=JobState.RUNNING) & ~Q(lock_key=""),
                name="one_running_job_for_each_target",
            ),
            models.CheckConstraint(
                condition=~Q(state=JobState.RUNNING) | Q(token__isnull=False),
                name="a_running_job_has_an_owner",
            ),
        ]

    def __str__(self) -> str:
        return f"job {self.pk}: {self.title}"

    @property
    def is_active(self) -> bool:
        """Whether the job waits or runs."""
        return self.state in ACTIVE_STATES


class JobAttempt(models.Model):
    """One claim of a job: history."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts")
    number = models.IntegerField()
    token = models.UUIDField(unique=True)
    node = models.CharField(max_length=300)
    pid = models.IntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=32, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ("number", "id")


class JobEvent(models.Model):
    """One line of a job's log, or the start of a phase."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events")
    attempt = models.IntegerField(default=1)
    at = models.DateTimeField()
    kind = models.CharField(
        max_length=8, choices=[("phase", "phase"), ("note", "note"), ("error", "error")]
    )
    text = models.TextField()

    class Meta:
        ordering = ("id",)
        indexes = [models.Index(fields=["job", "id"], name="event_of_job")]
