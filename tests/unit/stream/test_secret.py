"""Secrets do not show: not in repr, not in what programs print back."""

from __future__ import annotations

import base64
import json
import os
import stat
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, strategies as st

from covetbackup.core.stream.secret import Secret, SecretFile, redact
from covetbackup.core.stream.tail import Tail

VALUE = "p@ss wörd/'\"\\+="


def test_a_secret_shows_in_no_text():
    secret = Secret(VALUE)
    file = SecretFile("pgpass", secret)
    texts = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", repr(file), repr([file])]
    assert not any(VALUE in text for text in texts)
    assert secret.reveal() == VALUE


@pytest.mark.parametrize(
    "form",
    [
        VALUE,
        quote(VALUE),
        quote(VALUE, safe=""),
        quote_plus(VALUE),
        VALUE.replace("'", "''"),
        json.dumps(VALUE),
        json.dumps(VALUE, ensure_ascii=False),
        base64.b64encode(VALUE.encode()).decode(),
        base64.urlsafe_b64encode(VALUE.encode()).decode(),
    ],
)
def test_every_form_is_cut_out(form):
    clean = redact(f"connect {form} refused".encode(), [Secret(VALUE)]).decode()
    assert form not in clean
    assert "***" in clean
    assert clean.startswith("connect ") and clean.endswith(" refused")


@given(before=st.binary(max_size=5), after=st.binary(max_size=5))
def test_base64_of_a_text_around_the_secret_gives_no_secret_away(before, after):
    whole = base64.b64encode(before + VALUE.encode() + after)
    assert b"***" in redact(whole, [Secret(VALUE)])


def test_one_secret_inside_another_leaves_nothing_of_the_longer():
    clean = redact(b"hunter2-longer and hunter2", [Secret("hunter2"), Secret("hunter2-longer")])
    assert clean == b"*** and ***"


def test_an_empty_secret_changes_nothing():
    assert redact(b"text", [Secret("")]) == b"text"


def test_a_secret_file_is_in_memory_with_mode_0600():
    descriptor = SecretFile("pgpass", Secret(VALUE)).open()
    try:
        assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o600
        assert os.readlink(f"/proc/self/fd/{descriptor}") == "/memfd:pgpass (deleted)"
        with open(f"/proc/self/fd/{descriptor}", encoding="utf-8") as file:
            assert file.read() == VALUE
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("shift", range(40))
def test_a_secret_cut_by_the_bound_of_a_tail_leaves_no_part(shift):
    reader, writer = os.pipe()
    secret = Secret("correct-horse-battery-staple")
    tail = Tail(reader, limit=50, secrets=[secret])
    os.write(writer, b"x" * 300 + secret.reveal().encode() + b"y" * (40 + shift))
    tail.take()
    os.close(writer)
    os.close(reader)
    kept = tail.text()
    assert "staple" not in kept and "ple" not in kept
    assert kept.endswith("y" * 20)


def test_messages_are_the_last_lines_without_control_characters():
    reader, writer = os.pipe()
    tail = Tail(reader, limit=1000)
    os.write(writer, b"".join(b"line %d\n\n" % number for number in range(9)))
    os.write(writer, b"\x1b[31mred\x1b[0m\xff\n")
    os.close(writer)
    assert tail.take() is False
    os.close(reader)
    assert tail.reason() == "line 5; line 6; line 7; line 8;  [31mred [0m�"
