"""Settings of workers under test that take real backups."""

from __future__ import annotations

from covetbackup import settings as real
from tests.web.jobs.settings import *  # noqa: F403

JOB_KINDS = real.JOB_KINDS | {
    "backup": "tests.web.jobs.kinds.backup",
    "restore": "tests.web.jobs.kinds.restore",
}
JOB_HOOKS = real.JOB_HOOKS
JOB_PERMISSIONS = real.JOB_PERMISSIONS
