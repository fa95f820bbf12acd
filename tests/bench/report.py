"""Lines of the result, printed as soon as they are known."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.measure import Pair

_HEAD = f"{'':34}{'ours s':>9}{'shell s':>9}{'speed':>8}{'cpu':>7}{'RSS MiB':>9}  target"


def head() -> None:
    print(f"\n{_HEAD}", flush=True)


def pair(name: str, result: Pair, *, target: str) -> None:
    """Speed and cpu are the shell's seconds by ours: above 1 we are better. The target is for
    reading, nothing checks it."""
    print(
        f"{name:34}{result.ours.seconds:9.2f}{result.theirs.seconds:9.2f}"
        f"{result.speed:8.2f}{result.cpu:7.2f}{result.ours.peak_mib:9.0f}  {target}",
        flush=True,
    )


def row(cells: Sequence[str]) -> None:
    first, *rest = cells
    print(f"  {first:32}" + "".join(f"{cell:>12}" for cell in rest), flush=True)


def note(text: str) -> None:
    print(f"  {text}", flush=True)
