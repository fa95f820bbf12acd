"""The index of a dump: where in a stream of rows each table begins and ends.

The dump program writes a comment before each table's rows. In rows it escapes every line end, and
in comments it puts "-- " after each, so a line that begins as the comment does is one, unless the
name of a table or column was made to look like it: then a table seems to come twice, which fails.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from covetbackup.core.databases.mysql.archive.members import MAP
from covetbackup.core.databases.mysql.server.connection import quoted
from covetbackup.core.errors import Incomplete, ManifestInvalid

_FORMAT = "covetbackup-mysql-tables/1"
_COMMENT = b"\n--\n-- Dumping data for table "
_COMMENT_END = b"`\n--\n"
_FOOTER = b"\n/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE"
_FOOTER_WITHIN = 4096  # bytes from the end
_LARGE_PIECE = 1 << 20  # within a smaller one no line can be of a wide row
_BEGINNING = 4096  # bytes, in which the dump program says what it is a dump of


@dataclass(frozen=True, slots=True)
class DumpSection:
    """The byte range of the statements with one table's rows in a member."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Sections:
    """The sections of one member, by table; its first `header` bytes belong before each of them.
    A table that was dumped in ranges has a section in several members."""

    header: int
    tables: Mapping[str, DumpSection]


class SectionScan:
    """A filter that indexes a dump of the rows of the tables `names` while it passes through.

    After the end of the stream `sections` are known, or it raised `Incomplete`; `beginning` is the
    stream's first 4 KiB, and `longest` the length in bytes of the longest line with rows, by table:
    what a wide row takes in a statement.
    """

    def __init__(self, names: Collection[str]) -> None:
        comments = {quoted(name).replace("\n", "\n-- ").encode(): name for name in names}
        self._comments = comments
        self._begins: dict[str, int] = {}
        self.sections = Sections(0, {})
        self.beginning = b""
        self.longest: dict[str, int] = {}

    def __call__(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        window, passed = b"", 0
        tail = b""
        line, table = 0, ""
        for chunk in chunks:
            window += chunk
            if len(self.beginning) < _BEGINNING:
                self.beginning = (self.beginning + chunk[:_BEGINNING])[:_BEGINNING]
            done = self._scan(window, passed)
            window, passed = window[done:], passed + done
            tail = (tail + chunk[-_FOOTER_WITHIN:])[-_FOOTER_WITHIN:]
            if (end := chunk.find(b"\n")) < 0:
                line += len(chunk)
            else:
                self._measure(table, line + end)
                if len(chunk) > _LARGE_PIECE:
                    self._measure(table, max(map(len, chunk.split(b"\n"))))
                line, table = len(chunk) - chunk.rfind(b"\n") - 1, self._newest
            yield chunk
        size = passed + len(window)
        footer = tail.rfind(_FOOTER)
        self._finish(size if footer < 0 else size - len(tail) + footer + 1)

    @property
    def _newest(self) -> str:
        """The table whose rows pass through now."""
        return next(reversed(self._begins), "")

    def _measure(self, table: str, line: int) -> None:
        if table:
            self.longest[table] = max(line, self.longest.get(table, 0))

    def _scan(self, window: bytes, passed: int) -> int:
        """Index `window`, which begins at byte `passed`; return how many bytes of it are done."""
        at = 0
        while (offset := window.find(_COMMENT, at)) >= 0:
            begin = offset + len(_COMMENT)
            at = window.find(_COMMENT_END, begin)
            if at < 0:
                return offset
            self._note(window[begin : at + 1], passed + offset + 1)
        return max(at, len(window) - len(_COMMENT) + 1, 0)

    def _note(self, comment: bytes, offset: int) -> None:
        name = self._comments.get(comment)
        if name is None or name in self._begins:
            shown = comment.decode(errors="replace")
            raise Incomplete(f"the rows of table {shown} came twice, or were not asked for")
        self._begins[name] = offset

    def _finish(self, end: int) -> None:
        missing = sorted(set(self._comments.values()) - set(self._begins))
        if missing:
            raise Incomplete(
                f"the dump lacks the rows of table {', '.join(missing[:20])}",
                "was it dropped or renamed while it was dumped?",
            )
        begins = list(self._begins.items())
        ends = [offset for _, offset in begins[1:]] + [end]
        self.sections = Sections(
            header=begins[0][1] if begins else 0,
            tables={
                name: DumpSection(offset, stop - offset)
                for (name, offset), stop in zip(begins, ends, strict=True)
            },
        )


def map_to_json(members: Mapping[str, Sections]) -> bytes:
    """Serialise the sections of each member as `tables.json`."""
    content = {
        "format": _FORMAT,
        "members": {
            member: {
                "header": sections.header,
                "tables": {
                    name: [section.offset, section.length]
                    for name, section in sections.tables.items()
                },
            }
            for member, sections in members.items()
        },
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"


def map_from_json(data: bytes) -> dict[str, Sections]:
    """Parse `tables.json`. Raises `ManifestInvalid`."""
    try:
        content = json.loads(data)
        if content["format"] != _FORMAT:
            raise ManifestInvalid(f"{MAP} has a newer format", "update CovetBackup?")
        return {
            member: Sections(
                int(found["header"]),
                {
                    name: DumpSection(int(offset), int(length))
                    for name, (offset, length) in found["tables"].items()
                },
            )
            for member, found in content["members"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestInvalid(f"{MAP} is malformed") from error
