"""Bech32 (BIP 173) for key files, without its limit of 90 characters.

A prefix says what a key is, and a checksum finds typing errors.
"""

from __future__ import annotations

from collections.abc import Iterable

from covetbackup.core.errors import BadSetting

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUE = {char: value for value, char in enumerate(_CHARSET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM = 6


def encode(prefix: str, data: bytes) -> str:
    """Return `prefix` and `data` as lower case text; `prefix` is lower case ASCII."""
    values = _regroup(data, 8, 5, pad=True)
    return f"{prefix}1" + "".join(_CHARSET[value] for value in values + _checksum(prefix, values))


def decode(text: str) -> tuple[str, bytes]:
    """Return prefix and data of `text`, which is all upper or all lower case.

    Raises `BadSetting`, never naming a character of the text, which may be a secret.
    """
    if text not in (text.lower(), text.upper()) or not text.isascii():
        raise BadSetting("a key mixes upper and lower case", "was it copied whole?")
    prefix, separator, body = text.lower().rpartition("1")
    values = [_VALUE.get(char, -1) for char in body]
    if not prefix or not separator or len(body) < _CHECKSUM or -1 in values:
        raise BadSetting("a line is not a key", "was it copied whole?")
    if _polymod([*_expand(prefix), *values]) != 1:
        raise BadSetting("a key's checksum does not match", "is there a typing error in it?")
    data = bytes(_regroup(values[:-_CHECKSUM], 5, 8, pad=False))
    if encode(prefix, data) != text.lower():
        raise BadSetting("a key is not written in the one valid way")
    return prefix, data


def _checksum(prefix: str, values: list[int]) -> list[int]:
    rest = _polymod([*_expand(prefix), *values, *[0] * _CHECKSUM]) ^ 1
    return [rest >> 5 * (_CHECKSUM - 1 - i) & 31 for i in range(_CHECKSUM)]


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode("ascii")
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def _polymod(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, constant in enumerate(_GENERATOR):
            check ^= constant if top >> i & 1 else 0
    return check


def _regroup(values: Iterable[int], have: int, want: int, *, pad: bool) -> list[int]:
    """Bits in groups of `have` as groups of `want`; what is left over is padded or dropped."""
    held = bits = 0
    result = []
    for value in values:
        held = (held << have | value) & 0xFFF
        bits += have
        while bits >= want:
            bits -= want
            result.append(held >> bits & (1 << want) - 1)
    if pad and bits:
        result.append(held << want - bits & (1 << want) - 1)
    return result
