"""Derived keys: nothing made for one purpose, backup or key passes for another."""

from __future__ import annotations

import pytest

from covetbackup.core.crypto.dek import Dek, new_dek
from covetbackup.core.crypto.signing import Signer, TrustedSigner, new_signer
from covetbackup.core.crypto.subkeys import Purpose, check_mac, decrypt_bytes, encrypt_bytes, mac
from covetbackup.core.errors import BadSetting, Tampered
from tests.unit.crypto.streams import BACKUP, DEK, flipped

OTHER = Dek(bytes(32))


def test_a_mac_holds_for_one_key_backup_purpose_and_text_only() -> None:
    tag = mac(DEK, BACKUP, Purpose.MANIFEST, b"text")
    assert check_mac(DEK, BACKUP, Purpose.MANIFEST, b"text", tag=tag)
    assert not check_mac(OTHER, BACKUP, Purpose.MANIFEST, b"text", tag=tag)
    assert not check_mac(DEK, bytes(16), Purpose.MANIFEST, b"text", tag=tag)
    assert not check_mac(DEK, BACKUP, Purpose.KEYS, b"text", tag=tag)
    assert not check_mac(DEK, BACKUP, Purpose.MANIFEST, b"Text", tag=tag)
    assert not check_mac(DEK, BACKUP, Purpose.MANIFEST, b"text", tag=tag[:-1])


@pytest.mark.parametrize("size", [0, 1, 5000])
def test_sealed_bytes_come_back(size: int) -> None:
    encrypted = encrypt_bytes(DEK, BACKUP, Purpose.SEALED, bytes(size))
    assert decrypt_bytes(DEK, BACKUP, Purpose.SEALED, encrypted) == bytes(size)
    assert len(encrypted) == size + 48


def test_sealed_bytes_open_nowhere_else_and_never_changed() -> None:
    encrypted = encrypt_bytes(DEK, BACKUP, Purpose.SEALED, b"tables")
    changed = [flipped(encrypted, bit) for bit in range(len(encrypted) * 8)]
    cut = [encrypted[:size] for size in range(len(encrypted))]
    for data in [*changed, *cut, encrypted + b"x"]:
        with pytest.raises(Tampered):
            decrypt_bytes(DEK, BACKUP, Purpose.SEALED, data)
    with pytest.raises(Tampered):
        decrypt_bytes(OTHER, BACKUP, Purpose.SEALED, encrypted)
    with pytest.raises(Tampered):
        decrypt_bytes(DEK, bytes(16), Purpose.SEALED, encrypted)
    with pytest.raises(Tampered):
        decrypt_bytes(DEK, BACKUP, Purpose.MANIFEST, encrypted)


def test_a_signature_holds_for_one_signer_purpose_and_text_only() -> None:
    signer, stranger = new_signer(), new_signer()
    signature = signer.sign(b"text", Purpose.MANIFEST)
    signer.trusted.verify(b"text", Purpose.MANIFEST, signature=signature)
    cases = [
        (stranger.trusted, b"text", Purpose.MANIFEST, signature),
        (signer.trusted, b"Text", Purpose.MANIFEST, signature),
        (signer.trusted, b"text", Purpose.KEYS, signature),
        (signer.trusted, b"text", Purpose.MANIFEST, signature[:-1]),
        (signer.trusted, b"text", Purpose.MANIFEST, b""),
        (TrustedSigner(b"\xff" * 32), b"text", Purpose.MANIFEST, signature),
    ]
    for trusted, data, purpose, tag in cases:
        with pytest.raises(Tampered):
            trusted.verify(data, purpose, signature=tag)
    assert signer.signer_id == signer.trusted.signer_id != stranger.signer_id


def test_keys_of_a_wrong_length_are_refused() -> None:
    for kind in (Dek, Signer, TrustedSigner):
        with pytest.raises(BadSetting):
            kind(bytes(31))


def test_new_keys_differ_and_show_nothing() -> None:
    assert new_dek() != new_dek()
    assert repr(new_dek()) == "Dek()"
    assert repr(new_signer()) == "Signer()"
