"""The JSON dialect: strict to read, one spelling to write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from covetbackup.core.crypto.canonical import decode_bytes, dump, encode_bytes, parse
from covetbackup.core.errors import ManifestInvalid

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALAR = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT
VALUE: st.SearchStrategy[Any] = st.recursive(
    SCALAR, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(TEXT, VALUE))
def test_what_is_dumped_parses_to_the_same_and_dumps_to_the_same(value: dict[str, Any]) -> None:
    data = dump(value)
    assert parse(data) == value
    assert dump(parse(data)) == data


def test_the_canonical_form_is_sorted_and_has_no_spaces() -> None:
    value = {"b": [1, None, True], "a": {"é": 'quote " \n\u0001'}, "B": ("x",)}
    expected = '{"B":["x"],"a":{"é":"quote \\" \\n\\u0001"},"b":[1,null,true]}'
    assert dump(value) == expected.encode()


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"x":{"a":1,"a":2}}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":9007199254740992}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":1} x',
        b'{"a":1',
        b"",
        b"[]",
        b'"text"',
        b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"a":' + b"[" * 2_000_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda data: data[:24].decode("latin-1"),
)
def test_anything_but_strict_json_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        parse(data)


def test_too_many_bytes_are_refused_before_they_are_parsed() -> None:
    with pytest.raises(ManifestInvalid, match="the limit is 16777216"):
        parse(b"\xff" * ((16 << 20) + 1))
    with pytest.raises(ManifestInvalid, match="manifest of shop has 7 bytes"):
        parse(b'{"a":1}', limit=6, name="manifest of shop")


@pytest.mark.parametrize(
    "value", [{"a": 1.5}, {1: "a"}, {"a": b"bytes"}, {"a": {1, 2}}, {"a": "\ud800"}, {"a": 1 << 53}]
)
def test_what_could_not_be_read_back_is_not_written(value: Any) -> None:
    with pytest.raises(ManifestInvalid):
        dump(value)


def test_bytes_have_one_spelling() -> None:
    assert decode_bytes(encode_bytes(b"\xff" * 32), length=32) == b"\xff" * 32
    # The second differs from encode_bytes(b"a") in bits that base64 ignores.
    for text in ("YQ", "YR==", "YQ==\n", " YQ==", "é", None, 5, "YQ==YQ=="):
        with pytest.raises(ManifestInvalid):
            decode_bytes(text)
    with pytest.raises(ManifestInvalid, match="instead of 2"):
        decode_bytes("YQ==", length=2)
