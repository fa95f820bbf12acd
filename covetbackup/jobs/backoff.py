"""The wait before the next attempt of a job."""

from __future__ import annotations

import random
from datetime import timedelta


def back_off(
    attempt: int, *, base_seconds: float, most_seconds: float, chance: random.Random
) -> timedelta:
    """Doubles with each attempt (the first is 1) up to a limit, give or take a fifth.

    The jitter keeps the jobs that one outage ended from coming back all at once.
    """
    # 2 ** 40 is beyond any limit; without the cap a large attempt overflows a float.
    seconds = min(base_seconds * 2 ** min(attempt - 1, 40), most_seconds)
    return timedelta(seconds=seconds * chance.uniform(0.8, 1.2))
