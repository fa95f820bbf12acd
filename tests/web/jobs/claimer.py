"""Claims whatever it is told to, as fast as it can: `python -m tests.web.jobs.claimer NODE JOB…`.

Waits for a line on standard input, so that all claimers start together; prints the jobs it got.
"""

from __future__ import annotations

import os
import random
import sys
import uuid

import django

django.setup()

from django.db import connection  # noqa: E402

from covetbackup.jobs import queue  # noqa: E402


def main(node: uuid.UUID, jobs: list[int]) -> None:
    connection.ensure_connection()
    random.shuffle(jobs)
    print("ready", flush=True)
    sys.stdin.readline()
    won = [job for job in jobs if queue.claim(job, node, os.getpid())]
    print(*won, flush=True)


if __name__ == "__main__":
    main(uuid.UUID(sys.argv[1]), [int(job) for job in sys.argv[2:]])
