"""Whether a cron expression is one, and ever comes due. Five fields, in cronsim's syntax.

Raises `ValueError` with what is wrong, in lower case and without a full stop.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

_FIELDS = 5  # with six, cronsim takes the first for seconds
_ANY_START = datetime(2000, 1, 1, tzinfo=UTC)


def check_cron(text: str) -> None:
    """Raise `ValueError` for an invalid expression, or one without a slot within 50 years."""
    if len(text.split()) != _FIELDS:
        raise ValueError(f"a cron expression has {_FIELDS} fields, not {len(text.split())}")
    try:
        slots = CronSim(text, _ANY_START)
    except CronSimError as error:
        raise ValueError(f"{text[:80]!r} is not understood: {str(error).lower()}") from error
    if next(slots, None) is None:
        raise ValueError(f"{text[:80]!r} never comes due")
