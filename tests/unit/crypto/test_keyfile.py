"""Key files: typing errors are found, secrets are guarded, nothing is overwritten or shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from covetbackup.core.crypto import bech32, keyfile
from covetbackup.core.crypto.keyring import Keyring, NewKeys, new_keys, write_new_keys
from covetbackup.core.crypto.keys import Recipient, RecipientKey, passphrase_key
from covetbackup.core.crypto.signing import TrustedSigner
from covetbackup.core.errors import BadSetting


@pytest.fixture(scope="module")
def keys() -> NewKeys:
    return new_keys()


def secret_file(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("A12UEL5L", "a"),
        ("a12uel5l", "a"),
        ("an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
         "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio"),
        ("abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "abcdef"),
        ("split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w", "split"),
    ],
)  # fmt: skip
def test_bech32_reads_the_published_vectors(text: str, prefix: str) -> None:
    assert bech32.decode(text)[0] == prefix
    assert bech32.encode(*bech32.decode(text)) == text.lower()


def test_bech32_finds_every_single_typing_error(keys: NewKeys) -> None:
    text = keyfile.encode(keys.working[0])
    for place in range(len("covet-raw-1"), len(text)):
        for char in "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L":
            if text[place] != char:
                with pytest.raises(BadSetting, match="checksum"):
                    keyfile.decode(text[:place] + char + text[place + 1 :])


def test_bech32_refuses_what_is_not_one_whole_key(keys: NewKeys) -> None:
    text = keyfile.encode(keys.working[0])
    others = (text[:-1], text[1:], text + "Q", text.title(), "", "1", "é" + text, "1" + text)
    for other in (*others, text.replace("1", "B", 1), text[:30] + " " + text[30:]):
        with pytest.raises(BadSetting):
            keyfile.decode(other)


def test_every_kind_of_key_survives_a_file(tmp_path: Path, keys: NewKeys) -> None:
    every = [*keys.working, *keys.recovery]
    keyfile.create(tmp_path / "keys", every, title="all")
    assert keyfile.read(tmp_path / "keys") == every


def test_the_files_of_keygen_complete_each_other(tmp_path: Path, keys: NewKeys) -> None:
    write_new_keys(keys, tmp_path / "working", tmp_path / "recovery")
    working = Keyring.load([tmp_path / "working"])
    recovery = Keyring.load([tmp_path / "recovery"])
    assert len(working.wrapping) == 2
    assert working.can_read and working.signer is not None and not working.recipient_keys
    assert recovery.wrapping == working.recipients
    assert recovery.trusted_signer(working.signer.signer_id) == working.signer.trusted
    assert working.trusted_signer(working.signer.signer_id) == working.signer.trusted
    assert working.trusted_signer("sign-0000000000000000") is None
    for name in ("working", "recovery"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_the_files_are_private_whatever_the_umask(tmp_path: Path, keys: NewKeys) -> None:
    before = os.umask(0)
    try:
        keyfile.create(tmp_path / "keys", keys.working, title="x")
    finally:
        os.umask(before)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("taken", ["working", "recovery"])
def test_a_key_file_is_never_overwritten_and_none_is_left_alone(
    tmp_path: Path, keys: NewKeys, taken: str
) -> None:
    (tmp_path / taken).write_text("the only key")
    with pytest.raises(BadSetting, match="exists already"):
        write_new_keys(keys, tmp_path / "working", tmp_path / "recovery")
    assert (tmp_path / taken).read_text() == "the only key"
    assert [path.name for path in tmp_path.iterdir()] == [taken]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, keys: NewKeys, mode: int) -> None:
    path = secret_file(tmp_path / "keys", keyfile.render(keys.working, title="x"))
    path.chmod(mode)
    with pytest.raises(BadSetting, match="other users") as caught:
        Keyring.load([path])
    assert "chmod 600" in caught.value.hint
    with pytest.raises(BadSetting, match="other users"):
        Keyring.load([], [path])


def test_public_keys_may_be_read_by_everybody(tmp_path: Path, keys: NewKeys) -> None:
    public = [key for key in keys.working if isinstance(key, Recipient)]
    path = secret_file(tmp_path / "keys", keyfile.render(public, title="x"))
    path.chmod(0o644)
    ring = Keyring.load([path])
    assert ring.recipients and not ring.can_read


def test_comments_and_blank_lines_are_skipped_and_repeats_count_once(
    tmp_path: Path, keys: NewKeys
) -> None:
    line = keyfile.encode(keys.working[0])
    path = secret_file(tmp_path / "keys", f"# title\n\n  {line}  # mine\r\n{line.lower()}\n")
    assert Keyring.load([path, path]).wrapping == (keys.working[0],)


def test_both_halves_of_a_key_make_one_slot(keys: NewKeys) -> None:
    private = next(key for key in keys.recovery if isinstance(key, RecipientKey))
    assert Keyring.of([private, private.recipient]).wrapping == (private.recipient,)


@pytest.mark.parametrize(
    "text", ["", "# only a comment\n", "password\n", "covet-raw-1qqqq\n", "a12uel5l\n", "\0\n"]
)
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSetting):
        Keyring.load([secret_file(tmp_path / "keys", text)])


def test_files_that_cannot_be_key_files_are_refused(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for path in (
        tmp_path / "missing",
        tmp_path,
        binary,
        secret_file(tmp_path / "large", "#" * 70_000),
    ):
        with pytest.raises(BadSetting) as caught:
            Keyring.load([path])
        assert str(path) in caught.value.message


def test_a_malformed_key_is_named_by_its_line_and_not_quoted(tmp_path: Path, keys: NewKeys) -> None:
    line = keyfile.encode(keys.working[0])
    wrong = line[:-1] + ("Q" if line[-1] != "Q" else "Z")
    path = secret_file(tmp_path / "keys", f"# title\n{wrong}\n")
    with pytest.raises(BadSetting, match="line 2") as caught:
        Keyring.load([path])
    assert line[20:40] not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_two_signing_keys_are_refused(keys: NewKeys) -> None:
    with pytest.raises(BadSetting, match="two signing keys"):
        Keyring.of([*keys.working, *new_keys().working])


def test_a_recipient_that_would_share_the_key_with_everybody_is_refused() -> None:
    for point in (bytes(32), b"\1" + bytes(31)):
        with pytest.raises(BadSetting):
            Recipient(point)


def test_no_repr_shows_a_secret(keys: NewKeys) -> None:
    phrase = passphrase_key("correct horse battery")
    ring = Keyring.of([*keys.working, *keys.recovery, phrase])
    phrase.kek(phrase.params)
    shown = repr(ring) + repr(keys) + str(ring)
    secret = [key for key in ring.raw + ring.recipient_keys + ring.passphrases]
    assert ring.signer is not None
    for data in [*(key.secret for key in secret), phrase.kek(phrase.params), ring.signer.seed]:
        assert repr(data)[2:-1] not in shown and data.hex() not in shown
    assert isinstance(ring.trusted[0], TrustedSigner)
