"""Sizes, durations, rates and times as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import RequestFactory
from django.utils import timezone

from covetbackup.access.context import shell
from covetbackup.access.templatetags import ui


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1023, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (10 * 1024, "10.0 KiB"),
        (123 * 1024, "123 KiB"),
        (5 * 1024**3, "5.00 GiB"),
        (2 * 1024**6, "2048 PiB"),
    ],
)
def test_a_size_has_three_digits_and_its_exact_bytes_behind_it(size: int, text: str) -> None:
    assert ui.bytes_text(size) == f'<span title="{size:,} bytes">{text}</span>'


def test_nothing_and_unknown_differ() -> None:
    assert ui.bytes_text(None) == ui.rate_text(None) == ui.duration_text(None) == "–"
    assert ui.count_text(None) == ui.ago(None) == ui.absolute_time(None) == "–"
    assert "0 B" in ui.bytes_text(0) and ui.count_text(0) == "0"


@pytest.mark.parametrize(
    ("kind", "two"),
    [
        ("view", "views"),
        ("index", "indexes"),
        ("policy", "policies"),
        ("package body", "package bodies"),
        ("foreign key", "foreign keys"),
    ],
)
def test_one_object_is_called_as_one_and_two_as_two(kind: str, two: str) -> None:
    assert (ui.several(kind, 1), ui.several(kind, 2)) == (kind, two)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "under 0.1 s"),
        (0.26, "0.3 s"),
        (59, "59 s"),
        (60, "1 min"),
        (101, "1 min 41 s"),
        (7200, "2 h"),
        (90061, "1 d 1 h"),
    ],
)
def test_a_duration_has_its_two_largest_parts(seconds: float, text: str) -> None:
    assert ui.duration_text(seconds) == ui.duration_text(timedelta(seconds=seconds)) == text


def test_a_rate_is_a_size_a_second() -> None:
    assert ui.rate_text(88 * 1024**2) == "88.0 MiB/s"


@pytest.mark.parametrize(
    ("zone", "moment", "written", "shown"),
    [
        # the hour that comes twice, the hour that does not come, and zones off the hour
        ("Europe/Berlin", (2026, 10, 25, 0, 30), "2026-10-25T02:30:00+02:00", "02:30:00 CEST"),
        ("Europe/Berlin", (2026, 10, 25, 1, 30), "2026-10-25T02:30:00+01:00", "02:30:00 CET"),
        ("Europe/Berlin", (2027, 3, 28, 1, 30), "2027-03-28T03:30:00+02:00", "03:30:00 CEST"),
        ("Asia/Kolkata", (2026, 1, 1, 0, 0), "2026-01-01T05:30:00+05:30", "05:30:00 IST"),
        ("Asia/Kathmandu", (2026, 1, 1, 0, 0), "2026-01-01T05:45:00+05:45", "05:45:00 +0545"),
        ("UTC", (2026, 1, 1, 0, 0), "2026-01-01T00:00:00+00:00", "00:00:00 UTC"),
    ],
)
def test_a_time_is_written_with_its_offset_and_shown_in_the_visitors_zone(
    zone: str, moment: tuple[int, int, int, int, int], written: str, shown: str
) -> None:
    with timezone.override(zone):
        text = ui.absolute_time(datetime(*moment, tzinfo=UTC))
    found = re.search(r'<time datetime="([^"]+)" data-ago title="([^"]+)">', text)
    assert found is not None
    assert found[1] == written and found[2].endswith(shown)


@pytest.mark.parametrize(
    ("zone", "pattern"),
    [
        ("UTC", "UTC"),
        ("Europe/Berlin", r"Europe/Berlin \(UTC\+[12]\)"),
        ("Asia/Kathmandu", r"Asia/Kathmandu \(UTC\+5:45\)"),
        ("America/St_Johns", r"America/St_Johns \(UTC−[23]:30\)"),
    ],
)
def test_every_page_names_its_zone_and_how_far_it_is_from_utc(zone: str, pattern: str) -> None:
    request = RequestFactory().get("/")
    with timezone.override(zone):
        assert re.fullmatch(pattern, shell(request)["zone_name"])


def test_every_state_has_a_picture_a_word_and_no_colour_alone() -> None:
    for state in [*ui.BADGES, "something new"]:
        badge = ui.status_badge(state)
        assert "<use href=" in badge and re.search(r"</svg> \w[\w ]+</span>", badge), badge
