"""A network of its own, in which a server is reached over a link that can lose every packet.

Lost means lost: no end, no reset, no error, as when a firewall forgot the connection or a cable was
pulled. The network is a namespace whose loopback gets a queue that throws away what it is given. In
it `lossy_relay` listens; it hands on through a socket file, which is seen from every namespace.

For root, or where people may make user namespaces. Needs `unshare`, `nsenter`, `ip` and `tc`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support import lossy_relay

_TOOLS = ("unshare", "nsenter", "ip", "tc")
# Few people's own PATH leads to tools for networks.
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class LossyLink:
    """The server is at 127.0.0.1, at its own port, for commands that begin with `prefix`."""

    prefix: tuple[str, ...]
    _holder: subprocess.Popen[str] = field(repr=False)

    def cut(self) -> None:
        self._ask("cut")

    def cut_after(self, count: int) -> None:
        """Once so many bytes, in both directions together, went through from now on."""
        self._ask(f"after {count}")

    def heal(self) -> None:
        self._ask("heal")

    def is_cut(self) -> bool:
        return self._ask("state") == "cut"

    def _ask(self, what: str) -> str:
        assert self._holder.stdin is not None and self._holder.stdout is not None
        self._holder.stdin.write(what + "\n")
        self._holder.stdin.flush()
        answer = self._holder.stdout.readline().strip()
        assert answer, "the link's network is gone"
        return answer


@contextmanager
def lossy_link(port: int) -> Iterator[LossyLink]:
    """To what listens at `port` of this machine. Skips where there can be no such link."""
    for tool in _TOOLS:
        if shutil.which(tool, path=_PATH) is None:
            pytest.skip(f"no packets can be dropped here: there is no {tool}")
    with (
        tempfile.TemporaryDirectory(prefix="covet-link-") as folder,
        lossy_relay.door(Path(folder) / "door", lambda: _connected(port)) as door,
        _holder(door, port) as holder,
    ):
        yield LossyLink(_entering(holder.pid), holder)


@contextmanager
def _holder(door: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """The process in the network, which is gone with it."""
    # A user other than root keeps the rights over its network that way.
    user = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
    relay = [sys.executable, lossy_relay.__file__, str(door), str(port)]
    with subprocess.Popen(
        ["unshare", *user, "--net", *relay],
        env={**os.environ, "PATH": _PATH},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as holder:
        try:
            assert holder.stdout is not None and holder.stderr is not None
            if holder.stdout.readline().strip() != "ready":
                holder.wait()
                lines = holder.stderr.read().split("\n")
                pytest.skip(f"no packets can be dropped here: {' '.join(lines[-2:]).strip()}")
            yield holder
        finally:
            holder.kill()


def _entering(process: int) -> tuple[str, ...]:
    user = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
    return ("nsenter", f"--target={process}", *user, "--net", "--")


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 10)
