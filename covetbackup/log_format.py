"""The format of log lines, which never hold row contents of a database."""

from __future__ import annotations

import logging

from covetbackup.core.stream.diagnostics import without_rows


class LogFormatter(logging.Formatter):
    """Writes what a driver's error quotes from rows neither in messages nor in tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without row contents."""
        return without_rows(super().format(record))
