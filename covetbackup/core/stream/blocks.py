"""Block-parallel machinery: cuts a stream into blocks and works on them in threads, in order.

Knows nothing of codecs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

PIECE_BYTES = 1 << 20
"""No filter of this package yields more than this at once."""

Item = TypeVar("Item")
Result = TypeVar("Result")

_IDLE_SECONDS = 1.0


class Block:
    """A reusable buffer, filled up to `size`."""

    __slots__ = ("buffer", "size")

    def __init__(self, capacity: int) -> None:
        self.buffer = memoryview(bytearray(capacity))
        self.size = 0

    def fill(self, piece: memoryview) -> int:
        """Copy as much of `piece` as fits and return how many bytes that was."""
        count = min(len(piece), len(self.buffer) - self.size)
        self.buffer[self.size : self.size + count] = piece[:count]
        self.size += count
        return count

    @property
    def is_full(self) -> bool:
        """Whether the block takes no more bytes."""
        return self.size == len(self.buffer)

    def view(self) -> memoryview:
        """Return the bytes filled so far, without a copy: valid until the block is used again."""
        return self.buffer[: self.size]


class BlockPool:
    """A pool of blocks to use again: fresh 4 MiB buffers cost a page fault for each page."""

    def __init__(self, block_bytes: int) -> None:
        self._block_bytes = block_bytes
        self._free: list[Block] = []

    def take(self) -> Block:
        """Return an empty block, a used one if there is one."""
        return self._free.pop() if self._free else Block(self._block_bytes)

    def give_back(self, block: Block) -> None:
        """Return `block` to the pool; its bytes may be overwritten from now on."""
        block.size = 0
        self._free.append(block)


def blocks(chunks: Iterator[bytes], pool: BlockPool) -> Iterator[Block | None]:
    """Cut `chunks` into full blocks and a last one.

    Yields at least one block, and None where a chunk is b"".
    """
    block = pool.take()
    is_first = True
    for chunk in chunks:
        if not chunk:
            yield None
        rest = memoryview(chunk)
        while rest:
            rest = rest[block.fill(rest) :]
            if block.is_full:
                yield block
                is_first = False
                block = pool.take()
    if block.size or is_first:
        yield block


def map_ordered(
    items: Iterator[Item | None], work: Callable[[Item], Result], *, workers: int
) -> Generator[tuple[Item, Result] | None, None, None]:
    """Yield (item, work(item)) for each item, in order, computed by `workers` threads.

    Not more than `workers + 2` items are taken ahead: a thread pool's own queue has no end.
    None stands for an item that is None, and comes once a second while the next result
    is not there yet. The first error in order of items is raised; when the generator ends or is
    closed, work not begun is dropped, and all threads have been joined.
    """
    pending: deque[tuple[Item, Future[Result]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="blocks")
    try:
        for item in items:
            if item is None:
                yield None
                continue
            pending.append((item, pool.submit(work, item)))
            while len(pending) >= workers + 2 or (pending and pending[0][1].done()):
                yield from _first(pending)
        while pending:
            yield from _first(pending)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _first(
    pending: deque[tuple[Item, Future[Result]]],
) -> Iterator[tuple[Item, Result] | None]:
    item, future = pending.popleft()
    while not future.done():
        try:
            future.exception(timeout=_IDLE_SECONDS)
        except TimeoutError:
            yield None
    yield item, future.result()


def pieces(chunk: bytes) -> Iterator[bytes]:
    """Cut `chunk` into pieces of at most `PIECE_BYTES`; b"" stays one piece."""
    if len(chunk) <= PIECE_BYTES:
        yield chunk
        return
    view = memoryview(chunk)
    for start in range(0, len(view), PIECE_BYTES):
        yield bytes(view[start : start + PIECE_BYTES])
