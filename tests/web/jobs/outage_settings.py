"""As `archive_settings`, with work that waits at a chosen call: see `pausing`."""

from __future__ import annotations

from covetbackup import settings as real
from tests.web.jobs.archive_settings import *  # noqa: F403

JOB_KINDS = dict.fromkeys(real.JOB_KINDS, "tests.web.jobs.pausing.run")
