"""The loop that joins source, filters and sink, and alone decides between commit and abort."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from covetbackup.core.stream.base import Filter, Sink, Source


def pump(source: Source, filters: Sequence[Filter], sink: Sink) -> None:
    """Send all of `source` through `filters` into `sink`, then commit.

    Whatever goes wrong in source, filter or sink (`Cancelled` included): the sink is aborted
    and the first error is raised. The source's context is left before the commit, so a producer
    that ends badly is never committed.
    """
    try:
        with filtered(source, filters) as chunks:
            for chunk in chunks:
                if chunk:
                    sink.write(chunk)
        sink.commit()
    except BaseException:
        sink.abort()
        raise


@contextmanager
def filtered(source: Source, filters: Sequence[Filter]) -> Iterator[Iterator[bytes]]:
    """Send `source` through `filters`: itself a source.

    Filters may own threads or children, so each is closed on the way out, last one first.
    """
    with ExitStack() as stack:
        chunks = stack.enter_context(source)
        for apply in filters:
            chunks = apply(chunks)
            stack.callback(_close, chunks)
        yield chunks


def drain(source: Source, filters: Sequence[Filter]) -> None:
    """Read all of `source` through `filters` and drop it: for checks that read everything."""
    with filtered(source, filters) as chunks:
        for _ in chunks:
            pass


def _close(chunks: Iterator[bytes]) -> None:
    close = getattr(chunks, "close", None)
    if close is not None:
        close()
