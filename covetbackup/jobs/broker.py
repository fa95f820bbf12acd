"""Notifications through Redis or Valkey, in place of the catalog's table: `settings.BROKER_URL`.

It keeps no promise: the tick notifies again of what it forgets, because the row is the queue.
So an outage is one line in the log, never the end of a request, a job or a cluster.
"""

from __future__ import annotations

import logging
import time
from functools import cache
from typing import Any

from django.conf import settings
from django.utils.crypto import salted_hmac
from django_q.brokers.redis_broker import Redis as Q2Redis
from django_q.conf import Conf
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

CONNECT_SECONDS = 2.0
"""A user who has just pressed a button waits for this at most when the server is away."""

CHECK_TIMEOUT_SECONDS = 0.5
"""Timeout of the check whether the server answers, which the settings page makes."""

AGAIN_SECONDS = 1.0


class RedisBroker(Q2Redis):
    """The broker of q2 that survives outages; q2's own ends the cluster in one."""

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key=list_key)
        # Of this dashboard alone: two on one server would take each other's notifications.
        mine = salted_hmac(__name__, "").hexdigest()[:12]
        self.list_key = f"covet:{mine}:{list_key or Conf.CLUSTER_NAME}"
        self._is_away = False

    @staticmethod
    def get_connection(list_key: str | None = None) -> Redis:
        """Return a client of the broker."""
        return client(settings.BROKER_URL)

    def dequeue(self) -> Any:
        """Return the next notifications; during an outage none, after a wait."""
        try:
            found = super().dequeue()
        except RedisError as error:
            if not self._is_away:
                log.warning("the broker does not answer, queued jobs start later: %s", error)
            self._is_away = True
            time.sleep(AGAIN_SECONDS)
            return None
        self._is_away = False
        return found

    def ping(self) -> bool:
        """True, so that a cluster starts in an outage too; `covetbackup check` asks the server."""
        return True

    # q2's statistics, twice a second: the Node rows tell the same.
    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """Do nothing: workers report to the catalog."""
        pass

    def get_stat(self, key: str) -> None:
        """Return None: workers report to the catalog."""
        pass

    def get_stats(self, pattern: str) -> list[Any]:
        """Return nothing: workers report to the catalog."""
        return []


def ask(url: str) -> None:
    """Raise `RedisError` unless the server answers soon, `ValueError` as `client`."""
    with Redis.from_url(
        url,
        socket_connect_timeout=CHECK_TIMEOUT_SECONDS,
        socket_timeout=CHECK_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    ) as server:
        server.ping()


@cache
def client(url: str) -> Redis:
    """Return a client for this process and its forks, which connects when it is first used.

    Raises `ValueError` for an invalid address.
    """
    return Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_SECONDS,
        # Once more at once: the first command after an outage meets a connection that has died.
        retry=Retry(NoBackoff(), 1),
    )
