"""The engine's command line, run as a program, with waits of seconds where the product waits up to
a minute. What is noticed, and what is done then, is the product's own."""

from __future__ import annotations

import socket
import sys
from functools import partial

from covetbackup.core.cli.main import main
from covetbackup.core.databases.mysql.server import connection as mysql, keepalive
from covetbackup.core.databases.postgresql.server import connection as postgresql
from covetbackup.core.storage import registry


def be_impatient() -> None:
    limits = {"idle": 2, "interval": 1, "count": 2}
    here = {f"keepalives_{name}": value for name, value in limits.items()}
    there = {f"tcp_{name}": value for name, value in here.items()}
    postgresql.KEEPALIVES |= {**here, "tcp_user_timeout": 4000}
    postgresql.SERVER_KEEPALIVES |= there
    mysql.KEEPALIVE_OPTIONS = (
        (socket.TCP_KEEPIDLE, 2),
        (socket.TCP_KEEPINTVL, 1),
        (socket.TCP_KEEPCNT, 2),
        (socket.TCP_USER_TIMEOUT, 4000),
    )
    keepalive.PING_SECONDS, keepalive.SILENCE_SECONDS = 1, 6
    postgresql.CONNECT_SECONDS = mysql.CONNECT_SECONDS = 4
    registry.Retry = partial(registry.Retry, attempts=2)
    registry.S3Settings = partial(registry.S3Settings, connect_seconds=2, stall_seconds=3)


if __name__ == "__main__":
    be_impatient()
    sys.exit(main())
