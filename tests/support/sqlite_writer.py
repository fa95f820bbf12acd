"""A program that moves money in a SQLite bank until asked to stop: see `sqlite.transferring`."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import time

ACCOUNTS = 100


def _transfer_until_stopped(path: str, per_second: int, checkpoint: str) -> None:
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    bank = sqlite3.connect(path, isolation_level=None, timeout=60)
    bank.execute("PRAGMA synchronous=OFF")
    bank.execute(f"PRAGMA wal_autocheckpoint={20 if checkpoint == 'often' else 1000}")
    _transfer(bank)
    print("ready", flush=True)
    started, count, worst = time.monotonic(), 0, 0.0
    while not stopping:
        began = time.monotonic()
        _transfer(bank)
        worst = max(worst, time.monotonic() - began)
        count += 1
        if checkpoint in ("restart", "truncate") and count % 25 == 0:
            bank.execute("PRAGMA busy_timeout=1")
            bank.execute(f"PRAGMA wal_checkpoint({checkpoint})").fetchall()
            bank.execute("PRAGMA busy_timeout=60000")
        time.sleep(max(0.0, started + count / per_second - time.monotonic()))
    bank.close()
    print(count, worst, flush=True)


def _transfer(bank: sqlite3.Connection) -> None:
    source, target = random.sample(range(ACCOUNTS), 2)
    amount = random.randint(1, 50)
    bank.execute("BEGIN IMMEDIATE")
    bank.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (amount, source))
    bank.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (amount, target))
    bank.execute("INSERT INTO transfer (a, b, amount) VALUES (?, ?, ?)", (source, target, amount))
    # Whole-page changes all over the file: what a checkpoint copies under the reader's feet.
    ballast = random.randint(1, 200)
    bank.execute("UPDATE ballast SET data = randomblob(2000) WHERE id = ?", (ballast,))
    bank.execute("COMMIT")


if __name__ == "__main__":
    os.nice(5)
    _transfer_until_stopped(sys.argv[1], int(sys.argv[2]), sys.argv[3])
