"""A proxy in front of a real S3 server that spoils chosen exchanges: no mock of the client."""

from __future__ import annotations

import http.client
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Forward = Callable[[], Answer]
Action = Callable[["_Handler", Forward], Answer | None]
"""Gives the answer to send, or None when the connection is to be dropped."""


@dataclass(slots=True)
class Fault:
    """Spoils `times` requests of `method` whose path and query contain `containing`."""

    method: str
    containing: str
    action: Action
    times: int = 1
    lacking: str = "\0"

    def takes(self, method: str, path: str) -> bool:
        fits = self.containing in path and self.lacking not in path
        return self.times > 0 and method == self.method and fits


class Proxy:
    """`url` stands for the server's; `requests` are the methods and paths that came."""

    def __init__(self, url: str, upstream: str) -> None:
        self.url = url
        self.upstream = upstream
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.closing = Event()
        self._faults: list[Fault] = []
        self._lock = Lock()

    def spoil(self, method: str, containing: str, action: Action, **details: Any) -> None:
        self._faults.append(Fault(method, containing, action, **details))

    def forgive(self) -> None:
        """Spoil nothing more."""
        self._faults.clear()

    def count(self, method: str, containing: str) -> int:
        return sum(m == method and containing in path for m, path, _ in self.requests)

    def seen(self, method: str, path: str, headers: dict[str, str]) -> Action | None:
        with self._lock:
            self.requests.append((method, path, headers))
            for fault in self._faults:
                if fault.takes(method, path):
                    fault.times -= 1
                    return fault.action
        return None


def error(status: int, code: str, **headers: str) -> Action:
    """Answer with an S3 error instead of forwarding."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    return lambda handler, forward: Answer(status, body, headers)


def error_after(status: int, code: str) -> Action:
    """Forward, but answer with an S3 error."""

    def act(handler: _Handler, forward: Forward) -> Answer | None:
        forward()
        return error(status, code)(handler, forward)

    return act


def drop(handler: _Handler, forward: Forward) -> None:
    """Drop the connection without forwarding."""


def lose_answer(handler: _Handler, forward: Forward) -> None:
    """Forward, then drop the connection instead of answering."""
    forward()


def with_headers(**headers: str) -> Action:
    """Forward, and change headers of the answer."""

    def act(handler: _Handler, forward: Forward) -> Answer:
        answer = forward()
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in changed}
        return Answer(answer.status, answer.body, {**kept, **changed})

    return act


def cut_after(count: int) -> Action:
    """Forward, and close the connection in an orderly way after `count` bytes of the body.

    A reset would also discard bytes the client has not read yet: no test of a cut could count.
    """

    def act(handler: _Handler, forward: Forward) -> Answer:
        answer = forward()
        whole = {"Content-Length": str(len(answer.body))}
        return Answer(answer.status, answer.body[:count], answer.headers | whole)

    return act


def stall_after(count: int) -> Action:
    """Forward, and say nothing more after `count` bytes of the answer's body."""

    def act(handler: _Handler, forward: Forward) -> None:
        answer = forward()
        whole = {"Content-Length": str(len(answer.body))}
        handler.send(Answer(answer.status, answer.body[:count], answer.headers | whole))
        handler.proxy.closing.wait(30)

    return act


@contextmanager
def faulty(upstream: str) -> Iterator[Proxy]:
    """A proxy for the server at `upstream`, on a port of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = False  # joined by server_close
    proxy = Proxy(f"http://127.0.0.1:{server.server_port}", upstream)
    server.RequestHandlerClass = type("_Bound", (_Handler,), {"proxy": proxy})
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield proxy
    finally:
        proxy.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # answers "Expect: 100-continue", as real servers do
    proxy: Proxy

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {key: value for key, value in self.headers.items()}
        action = self.proxy.seen(self.command, self.path, headers)

        def forward() -> Answer:
            return _forwarded(self.proxy.upstream, self.command, self.path, headers, body)

        answer = action(self, forward) if action else forward()
        if answer is not None:
            with suppress(ConnectionError):  # the client left: it may be testing just that
                self.send(answer)
            return
        # Linger zero seconds: the peer sees a reset, not an orderly end.
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

    def send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        lengths = {"Content-Length": str(len(answer.body)), "Connection": "close"}
        if self.command == "HEAD":
            del lengths["Content-Length"]
        for name, value in (lengths | answer.headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _forwarded(
    upstream: str, method: str, path: str, headers: dict[str, str], body: bytes
) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(upstream).netloc)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if name.lower() not in ("expect", "connection"):
                connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        data = response.read()
        dropped = {"connection", "transfer-encoding", "server", "date"}
        if method != "HEAD":
            dropped.add("content-length")
        kept = {k: v for k, v in response.headers.items() if k.lower() not in dropped}
        return Answer(response.status, data, kept)
    finally:
        connection.close()
