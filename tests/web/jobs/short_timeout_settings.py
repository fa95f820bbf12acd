"""As `archive_settings`, with short waits for servers that fell silent."""

from __future__ import annotations

from tests.support.short_timeouts import be_impatient
from tests.web.jobs.archive_settings import *  # noqa: F403

be_impatient()
