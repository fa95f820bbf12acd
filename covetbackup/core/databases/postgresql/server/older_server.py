"""Running pg_restore against an older server, which does not know a setting that it sends first.

Since version 17 it sends `SET transaction_timeout = 0`, which servers before 17 refuse, and no
option keeps it from that. So it continues after errors there, and any other error fails it here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from covetbackup.core.errors import SinkFailed
from covetbackup.core.stream.command import ChildFile
from covetbackup.core.stream.process import CommandSink
from covetbackup.core.stream.reason import reason_lines

SETTING = b"\nSET transaction_timeout = 0;"
_SINCE = 17
# The server's message may be in any language.
_REFUSED = re.compile(
    r"(?:^pg_restore: while INITIALIZING:\n)?"
    r'^pg_restore: error: [^\n]*"transaction_timeout"\n'
    r"Command was: SET transaction_timeout = 0;\n",
    re.MULTILINE,
)
_ERROR = re.compile(r"^pg_restore: error: ", re.MULTILINE)
_ONE_IGNORED = re.compile(r"^pg_restore: warning: errors ignored on restore: 1$", re.MULTILINE)


def sends_unknown_setting(client_major: int, server_major: int) -> bool:
    """Return whether pg_restore of `client_major` sends what a `server_major` server refuses."""
    return client_major >= _SINCE > server_major


def tolerant_arguments(arguments: Sequence[str | ChildFile]) -> list[str | ChildFile]:
    """Return `arguments` of pg_restore changed so that it continues after errors, in one session.

    Each parallel job would send the setting again.
    """
    return [
        argument
        for argument in arguments
        if argument != "--exit-on-error" and not str(argument).startswith("--jobs=")
    ]


class OlderServerSink:
    """A `Sink`: a running pg_restore whose error about the unknown setting does not count."""

    def __init__(self, running: CommandSink) -> None:
        self._running = running

    def write(self, chunk: bytes) -> None:
        self._running.write(chunk)

    def commit(self) -> None:
        try:
            self._running.commit()
        except SinkFailed as error:
            messages = self.messages
            # Without the line that counts one error it did not come to its end.
            if _ERROR.search(messages) or not _ONE_IGNORED.search(messages):
                reason = "; ".join(reason_lines(messages)) or error.message
                raise SinkFailed(f"pg_restore failed: {reason}", error.hint) from error

    def abort(self) -> None:
        self._running.abort()

    @property
    def messages(self) -> str:
        """Everything it printed but the error about the unknown setting."""
        return _REFUSED.sub("", self._running.messages)
