"""The program behind `lossy_link`: relays connections and, told so, drops the network's packets.

Also the relaying itself, which has to be done once more on the other side of the namespace's wall.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PIECE = 64 << 10
_UP = ("ip", "link", "set", "lo", "up")
_CUT = ("tc", "qdisc", "replace", "dev", "lo", "root", "blackhole")
_HEAL = ("tc", "qdisc", "del", "dev", "lo", "root")

Connect = Callable[[], socket.socket]
Count = Callable[[int], None]


@contextmanager
def door(path: Path, connect: Connect) -> Iterator[Path]:
    """A socket file whose connections are relayed, for as long as the context lasts."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(64)
        thread = threading.Thread(target=_serve, args=(listener, connect, _uncounted), daemon=True)
        thread.start()
        yield path
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(listener: socket.socket, connect: Connect, count: Count) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=(client, connect, count), daemon=True).start()


def _relay(client: socket.socket, connect: Connect, count: Count) -> None:
    with suppress(OSError), client, connect() as server:
        back = threading.Thread(target=_copy, args=(server, client, count), daemon=True)
        back.start()
        _copy(client, server, count)
        back.join()


def _copy(source: socket.socket, target: socket.socket, count: Count) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            count(len(piece))
            target.sendall(piece)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _uncounted(_: int) -> None:
    pass


class _Network:
    """This process's network: drops what it is given from a moment on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: int | None = None
        self.state = "whole"

    def count(self, size: int) -> None:
        with self._lock:
            if self._left is not None:
                self._left -= size
                if self._left <= 0:
                    self._cut()

    def obey(self, order: str) -> str:
        what, _, number = order.partition(" ")
        with self._lock:
            if what == "cut":
                self._cut()
            elif what == "after":
                self._left = int(number)
            elif what == "heal":
                subprocess.run(_HEAL, check=True)
                self.state = "whole"
            return self.state

    def _cut(self) -> None:
        subprocess.run(_CUT, check=True)
        self._left = None
        self.state = "cut"


def main(path: str, port: int) -> None:
    network = _Network()
    subprocess.run(_UP, check=True)
    for trial in (_CUT, _HEAL):  # fails where the kernel has no such queue
        subprocess.run(trial, check=True)
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    threading.Thread(
        target=_serve, args=(listener, lambda: _through(path), network.count), daemon=True
    ).start()
    print("ready", flush=True)
    for line in sys.stdin:
        print(network.obey(line.strip()), flush=True)


def _through(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.connect(path)
    return made


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
