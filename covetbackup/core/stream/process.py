"""Child processes as sources and sinks, and short commands: the only place that starts programs.

Every program runs under a `process_supervisor`, so that it and all it starts end with the worker,
even after `kill -9`. No shell, no inherited environment, no secret in arguments or environment:
a `SecretFile` among the arguments or in the environment becomes the path of that file.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType

from covetbackup.core.errors import (
    BadSetting,
    ConfigurationError,
    NoProgress,
    SinkFailed,
    SourceFailed,
)
from covetbackup.core.stream import process_supervisor
from covetbackup.core.stream.blocks import PIECE_BYTES
from covetbackup.core.stream.child import Child, describe_exit
from covetbackup.core.stream.command import Arguments, Command, Environment
from covetbackup.core.stream.secret import Secret
from covetbackup.core.stream.tail import Tail

STALL_SECONDS = 900.0
"""How long a source may be silent: pg_dump may wait minutes for locks before its first byte."""

GRACE_SECONDS = 10.0
"""From TERM, on which clients cancel what runs on the server, to KILL."""

_PIPE_BYTES = 1 << 20  # the default of 64 KiB costs a context switch for each
# Programs write 4 KiB at a time, and a reader that is quick gets hardly more. Letting the pipe fill
# for a moment took 0.02 s of CPU instead of 0.13 for 65 MB, and the dump was done earlier. A small
# pipe is read sooner: it would be full, and the program would wait for us.
_SMALL_READS_PER_PIPE = 8
_FILL_SECONDS = 0.001
_STDERR_BYTES = 64 << 10
_RUN_OUTPUT_BYTES = 64 << 20  # `pg_restore -l` of 100 000 tables prints about 20 MiB
_IDLE_SECONDS = 1.0
_LISTEN_SECONDS = 0.005  # locks may be held meanwhile


class CommandSource:
    """The standard output of a program, as a source. One context at a time.

    The iterator ends only after the program exited with status 0; otherwise it raises
    `SourceFailed` with the lines of its messages that say why, and `NoProgress` when no byte came
    for `stall_seconds`. It yields b"" about once a second while it waits. Entering raises
    `ToolMissing`. Leaving early ends the program: TERM, `grace_seconds`, KILL.
    """

    def __init__(
        self,
        argv: Arguments,
        *,
        env: Environment | None = None,
        secrets: Sequence[Secret] = (),
        name: str = "",
        stall_seconds: float = STALL_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._command = Command(argv, env or {}, secrets, name)
        self._stall_seconds = stall_seconds
        self._grace_seconds = grace_seconds
        self._context = ExitStack()
        self._messages: Tail | None = None
        self._child: Child | None = None

    def __enter__(self) -> Iterator[bytes]:
        started = _start(self._command, feeds=False)
        self._messages = started.messages
        self._child = started.child
        self._context.callback(started.child.stop, self._grace_seconds)
        pieces = self._pieces(started)
        # Closed first: it must not read a descriptor number that means something else by then.
        self._context.callback(pieces.close)
        return pieces

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.close()

    @property
    def messages(self) -> str:
        """The last 64 KiB of the program's standard error, without secrets."""
        return self._messages.text() if self._messages else ""

    def wait_for_message(self, text: str, seconds: float) -> bool:
        """Wait until `text` is in its messages or it has ended; return False after `seconds`.

        Reads nothing of its output. Needs the context to be entered.
        """
        assert self._child is not None
        deadline = time.monotonic() + seconds
        while text not in self.messages:
            if self._child.wait_ended(_LISTEN_SECONDS):
                return True
            if time.monotonic() >= deadline:
                return False
        return True

    def _pieces(self, started: _Started) -> Generator[bytes, None, None]:
        child, pipe = started.child, started.pipe
        tick = min(_IDLE_SECONDS, self._stall_seconds)
        small_bytes = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) // _SMALL_READS_PER_PIPE
        while True:
            yield from self._until(lambda: child.wait_ready(pipe, select.POLLIN, tick), started)
            piece = os.read(pipe, PIECE_BYTES)
            if not piece:
                break
            yield piece
            if len(piece) < small_bytes:
                time.sleep(_FILL_SECONDS)
        yield from self._until(lambda: child.wait_ended(tick), started)
        status = child.finish()
        if status != 0:
            raise SourceFailed(started.failure(describe_exit(status)))

    def _until(self, is_done: Callable[[], bool], started: _Started) -> Iterator[bytes]:
        deadline = time.monotonic() + self._stall_seconds
        while not is_done():
            if time.monotonic() >= deadline:
                raise NoProgress(
                    started.failure(f"sent nothing for {self._stall_seconds:g} seconds"),
                    hint="does it wait for a lock, a password or a dead connection?",
                )
            yield b""


class CommandSink:
    """The standard input of a program, as a sink. The program starts at once (`ToolMissing`).

    `commit` ends its input and waits for status 0, without limit: a restore may work for hours
    after the last byte. `idle` is called about once a second while a write or the commit waits, and
    may raise `Cancelled`. `abort` ends the program first (TERM, `grace_seconds`, KILL) and closes
    its input second, so an abort, or the death of this process, never looks to the program like the
    end of its input. Errors are `SinkFailed`.
    """

    def __init__(
        self,
        argv: Arguments,
        *,
        env: Environment | None = None,
        secrets: Sequence[Secret] = (),
        name: str = "",
        idle: Callable[[], None] = lambda: None,
        output_bytes: int = 0,
        message_bytes: int = _STDERR_BYTES,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._idle = idle
        self._grace_seconds = grace_seconds
        command = Command(argv, env or {}, secrets, name)
        self._started = _start(
            command, feeds=True, output_bytes=output_bytes, message_bytes=message_bytes
        )
        self._child = self._started.child

    def write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            try:
                rest = rest[os.write(self._started.pipe, rest) :]
            except BlockingIOError:
                self._until(self._is_writable)
            except BrokenPipeError as error:
                raise SinkFailed(self._why_it_stopped_reading()) from error

    def commit(self) -> None:
        self._child.close_input()
        self._until(lambda: self._child.wait_ended(_IDLE_SECONDS))
        status = self._child.finish()
        if status != 0:
            raise SinkFailed(self._started.failure(describe_exit(status)))

    def abort(self) -> None:
        self._child.stop(self._grace_seconds)

    @property
    def messages(self) -> str:
        """The last `message_bytes` of the program's standard error, without secrets."""
        return self._started.messages.text()

    @property
    def output(self) -> bytes:
        """The last `output_bytes` of the program's standard output, without secrets."""
        return self._started.output.content() if self._started.output else b""

    def _is_writable(self) -> bool:
        return self._child.wait_ready(self._started.pipe, select.POLLOUT, _IDLE_SECONDS)

    def _until(self, is_done: Callable[[], bool]) -> None:
        while not is_done():
            self._idle()

    def _why_it_stopped_reading(self) -> str:
        if not self._child.wait_ended(self._grace_seconds):
            return self._started.failure("closed its input before the end")
        status = self._child.finish()
        return self._started.failure(f"{describe_exit(status)} before the end of its input")


@dataclass(frozen=True, slots=True)
class Completed:
    """The output and the messages of a short command; the messages are without secrets."""

    output: bytes
    messages: str


def run(
    argv: Arguments,
    *,
    env: Environment | None = None,
    secrets: Sequence[Secret] = (),
    name: str = "",
    stall_seconds: float = 60.0,
) -> Completed:
    """Run a short command to its end and return what it printed.

    Raises as `CommandSource` does, so status 0 is certain, and `SourceFailed` when it prints more
    than 64 MiB.
    """
    source = CommandSource(argv, env=env, secrets=secrets, name=name, stall_seconds=stall_seconds)
    output = bytearray()
    with source as pieces:
        for piece in pieces:
            output += piece
            if len(output) > _RUN_OUTPUT_BYTES:
                raise SourceFailed(f"{argv[0]} printed more than {_RUN_OUTPUT_BYTES} bytes")
    return Completed(bytes(output), source.messages)


@dataclass(frozen=True, slots=True)
class _Started:
    """A running program: `pipe` is our end of its output, or of its input."""

    label: str
    child: Child
    pipe: int
    messages: Tail
    output: Tail | None

    def failure(self, what: str) -> str:
        reason = self.messages.reason()
        return f"{self.label} {what}" + (f": {reason}" if reason else "")


def _start(
    command: Command, *, feeds: bool, output_bytes: int = 0, message_bytes: int = _STDERR_BYTES
) -> _Started:
    """Start a program whose input (`feeds`) or output is a pipe.

    Retains the last `output_bytes` of the output of one that is fed; every other stream is
    /dev/null.
    """
    with ExitStack() as theirs, ExitStack() as ours:  # ours are closed only when this fails
        resolved = command.resolve(theirs)
        our_line, their_line = socket.socketpair()
        ours.enter_context(our_line)
        theirs.enter_context(their_line)
        errors, their_errors = _pipe(ours, theirs)
        stdin = stdout = subprocess.DEVNULL
        output = None
        if feeds:
            stdin, pipe = _pipe(theirs, ours, enlarged=True)
            if output_bytes:
                output, stdout = _pipe(ours, theirs)
        else:
            pipe, stdout = _pipe(ours, theirs, enlarged=True)
        hold = pipe if feeds else -1
        arguments = [str(os.getpid()), str(their_line.fileno()), str(hold), *resolved.argv]
        inherited = {their_line.fileno(), *resolved.files} | ({hold} if feeds else set())
        process = _spawn(
            command.label, arguments, resolved.env, (stdin, stdout, their_errors), inherited
        )
        ours.pop_all()
    os.set_blocking(pipe, False)
    messages = Tail(errors, limit=message_bytes, secrets=command.secrets)
    captured = None if output is None else Tail(output, limit=output_bytes, secrets=command.secrets)
    tails = [tail for tail in (messages, captured) if tail]
    child = Child(our_line, tails, pipe=pipe, reap=process.wait)
    return _Started(command.label, child, pipe, messages, captured)


def _pipe(reader: ExitStack, writer: ExitStack, *, enlarged: bool = False) -> tuple[int, int]:
    """Make a pipe whose ends belong to `reader` and `writer`.

    Pipes for messages are not enlarged: the kernel lets a user have some 60 large ones, and gives
    tiny ones from then on.
    """
    read_end, write_end = os.pipe()
    reader.callback(os.close, read_end)
    writer.callback(os.close, write_end)
    if enlarged:
        with suppress(OSError):  # beyond that limit; slower, but it works
            fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return read_end, write_end


def _spawn(
    label: str,
    arguments: list[str],
    env: dict[str, str],
    streams: tuple[int, int, int],
    inherited: set[int],
) -> subprocess.Popen[bytes]:
    stdin, stdout, stderr = streams
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", process_supervisor.__file__, *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=env,
            pass_fds=tuple(inherited),
            start_new_session=True,
            umask=0o077,
        )
    except ValueError as error:
        raise BadSetting(f"an argument of {label} holds a zero byte") from error
    except OSError as error:
        raise ConfigurationError(f"cannot start {label}: {error.strerror}") from error
