"""A link that is limited for each connection, as one over a wide area is: `… proxy PORT RATE`.

Relays 127.0.0.1 to a port of this host, at most RATE bytes a second of each connection's answers.
Prints the port it listens on.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PIECE_BYTES = 128 << 10


@contextmanager
def limited_link(port: int, bytes_per_second: int) -> Iterator[int]:
    """The port of such a link to `port`, relayed by a process of its own."""
    command = [sys.executable, "-m", "tests.bench.proxy", str(port), str(bytes_per_second)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    target, rate = int(sys.argv[1]), int(sys.argv[2])
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            near, _ = server.accept()
            far = socket.create_connection(("127.0.0.1", target))
            for source, sink, limit in ((near, far, 0), (far, near, rate)):
                threading.Thread(target=_relay, args=(source, sink, limit), daemon=True).start()


def _relay(source: socket.socket, sink: socket.socket, bytes_per_second: int) -> None:
    due = time.monotonic()
    with suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            sink.sendall(piece)
            if bytes_per_second:
                # Time that nobody asked for is lost, but for a tenth of a second.
                due = max(due, time.monotonic() - 0.1) + len(piece) / bytes_per_second
                time.sleep(max(0.0, due - time.monotonic()))
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    main()
