"""Messages get a capital on pages; names never do."""

from __future__ import annotations

import pytest

from covetbackup.core.capitals import capitalised
from covetbackup.core.errors import as_sentence


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no room is left", "No room is left"),
        ("the server closed the connection", "The server closed the connection"),
        ("role: missing", "Role: missing"),
        ("", ""),
        ("legacy-7ba46928/2026 is pinned", "legacy-7ba46928/2026 is pinned"),
        ("dump.pgc.0000 is missing", "dump.pgc.0000 is missing"),
        ("no-such-server/shop is gone", "no-such-server/shop is gone"),
        ("the.sqlite is locked", "the.sqlite is locked"),
        ("shop is gone", "shop is gone"),
        ("pg_dump is too old", "pg_dump is too old"),
        ("Main server/shop is gone", "Main server/shop is gone"),
        ("'x y' is not a cipher", "'x y' is not a cipher"),
    ],
)
def test_a_word_gets_a_capital_and_a_name_does_not(text: str, shown: str) -> None:
    assert capitalised(text) == shown


def test_a_sentence_keeps_its_end() -> None:
    assert as_sentence("is the path right?") == "Is the path right?"
    assert as_sentence("shop-1 is pinned") == "shop-1 is pinned."
    assert as_sentence("") == ""
