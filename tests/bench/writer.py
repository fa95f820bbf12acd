"""`python -m tests.bench.writer DATABASE RATE`: moves money, RATE times a second, until ended."""

from __future__ import annotations

import random
import signal
import sqlite3
import sys
import time


def main(path: str, rate: int) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    rng = random.Random()
    due = time.monotonic()
    is_first = True
    while True:
        cents = rng.randrange(100)
        row = rng.randrange(1_000_000)
        connection.executescript(
            "BEGIN IMMEDIATE;"
            f"UPDATE accounts SET cents = cents - {cents} WHERE id = 1;"
            f"UPDATE accounts SET cents = cents + {cents} WHERE id = 2;"
            f"UPDATE lines SET cents = {cents} WHERE id = {row};"
            "COMMIT"
        )
        if is_first:
            print("writing", flush=True)
            is_first = False
        due = max(due + 1 / rate, time.monotonic() - 1)
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
