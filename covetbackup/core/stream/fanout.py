"""One stream into many sinks: a replica that fails drops out, the others go on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from functools import partial

from covetbackup.core.errors import CovetError, SinkFailed
from covetbackup.core.stream.base import Sink


class FanOut:
    """A sink that feeds all `sinks` (at least one) and fails only when the last of them has failed.

    `failures` says why each lost replica was lost; those sinks have been aborted. Anything but a
    `CovetError` (`Cancelled` above all) passes through, and `abort` then ends all sinks that have
    not been committed.
    """

    def __init__(self, sinks: Mapping[str, Sink]) -> None:
        self._open = dict(sinks)
        self.failures: dict[str, CovetError] = {}

    def write(self, chunk: bytes) -> None:
        for name, sink in list(self._open.items()):
            self._try(name, partial(sink.write, chunk))
        self._check_any(self._open)

    def commit(self) -> None:
        committed = []
        for name, sink in list(self._open.items()):
            if self._try(name, sink.commit):
                committed.append(name)
                del self._open[name]
        self._check_any(committed)

    def abort(self) -> None:
        with ExitStack() as aborts:  # all of them, even if one of them raises
            for sink in self._open.values():
                aborts.callback(sink.abort)
            self._open.clear()

    def _try(self, name: str, act: Callable[[], None]) -> bool:
        try:
            act()
        except CovetError as error:
            self.failures[name] = error
            self._open.pop(name).abort()
            return False
        return True

    def _check_any(self, left: Collection[str]) -> None:
        if left:
            return
        *others, last = self.failures.values()
        if not others:
            raise last
        reasons = "; ".join(f"{name}: {error}" for name, error in self.failures.items())
        raise SinkFailed(f"every copy failed: {reasons}", hint=last.hint) from last
