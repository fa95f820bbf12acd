"""Invented words, so that sample text compresses like written language."""

from __future__ import annotations

import random
from itertools import accumulate, product

_COUNT = 4000
_STEEPNESS = 0.75  # with it zstd -3 shrinks rows of these words 2.9 times, like real shop data


class Words:
    """Phrases in which some words are much more common than others. The same for every run."""

    def __init__(self, rng: random.Random) -> None:
        syllables = [
            start + end
            for start, end in product("bcdfghklmnprstvw", ("a", "e", "i", "o", "u", "an"))
        ]
        self._rng = rng
        self._words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(_COUNT)]
        self._weights = list(accumulate(rank**-_STEEPNESS for rank in range(1, _COUNT + 1)))

    def phrase(self, shortest: int, longest: int) -> str:
        count = self._rng.randint(shortest, longest)
        return " ".join(self._rng.choices(self._words, cum_weights=self._weights, k=count))
