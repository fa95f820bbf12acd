"""Kills what serves a catalog, at random moments, and keeps count."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

import psutil

from tests.support.redis_server import RedisServer
from tests.web.jobs.cluster import Cluster, descendants, kill, workers_of


class Chaos:
    """Of the processes below `up`, and of the broker, which is started again."""

    def __init__(self, cluster: Cluster, up: int, broker: RedisServer, *, seed: int) -> None:
        self._cluster, self._up, self._broker = cluster, up, broker
        self._chance = random.Random(seed)
        self.killed: Counter[str] = Counter()
        self._victims: dict[str, Callable[[], int]] = {
            "runner": self._runner,
            "supervisor": self._supervisor,
            "worker": lambda: int(cluster.ask("nodes")[-1]["pid"]),
            "web": self._web,
            "any": lambda: self._chance.choice([one.pid for one in descendants(up)]),
        }

    def go_on(self, *, while_so: Callable[[], bool], seconds: float, pause: float) -> None:
        deadline = time.monotonic() + seconds
        while while_so() and time.monotonic() < deadline:
            time.sleep(self._chance.uniform(0, 2 * pause))
            self._strike(self._chance.choice([*self._victims, "broker"]))

    def _strike(self, name: str) -> None:
        if name == "broker":
            self._broker.kill()
            time.sleep(self._chance.uniform(0, 1))
            self._broker.start()
        else:
            try:
                kill(self._victims[name]())
            except (IndexError, OSError, psutil.Error):
                return  # nothing of that sort runs just now
        self.killed[name] += 1

    def _runner(self) -> int:
        return self._chance.choice(
            [one.pid for one in descendants(self._up) if one.name().startswith("run-")]
        )

    def _supervisor(self) -> int:
        worker = int(self._cluster.ask("nodes")[-1]["pid"])
        return self._chance.choice(workers_of(worker, "covet-busy"))

    def _web(self) -> int:
        return self._chance.choice(
            [one.pid for one in descendants(self._up) if "gunicorn" in one.cmdline()]
        )
