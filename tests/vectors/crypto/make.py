"""Writes the test vectors: a second implementation of FORMAT.md, without the engine's code.

Everything random in the format is a fixed value here, so the same bytes come out each time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

CHUNK_LOG2 = 12
SUITES = {1: "aes-256-gcm", 2: "chacha20-poly1305", 3: "aes-256-cbc-hmac-sha256"}
MORE, END = 1, 2
ZERO_NONCE = bytes(12)


def fixed(name: str, size: int = 32) -> bytes:
    """Stands where the format wants something random."""
    return hashlib.shake_256(f"covetbackup test vector: {name}".encode()).digest(size)


DEK, BACKUP = fixed("dek"), fixed("backup id", 16)
KEK, SEED = fixed("raw key"), fixed("signing seed")
RECOVERY = X25519PrivateKey.from_private_bytes(fixed("x25519 key"))
RECOVERY_PUBLIC = RECOVERY.public_key().public_bytes_raw()
SIGNER = Ed25519PrivateKey.from_private_bytes(SEED)
SIGNER_PUBLIC = SIGNER.public_key().public_bytes_raw()
PASSPHRASE = "Größe zählt: correct horse battery"
PLAIN = fixed("plain", 3 * 4096 + 100)


def hkdf(secret: bytes, info: bytes, salt: bytes = b"", size: int = 32) -> bytes:
    """RFC 5869 in full: the zero salt is 32 zero bytes."""
    return expand(hmac.digest(salt or bytes(32), secret, "sha256"), info, size)


def expand(key: bytes, info: bytes, size: int) -> bytes:
    output = block = b""
    counter = 1
    while len(output) < size:
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        output, counter = output + block, counter + 1
    return output[:size]


def encrypted_object(plain: bytes, suite: int, number: int, end: int) -> bytes:
    salt = fixed(f"salt of suite {suite} object {number}")
    head = struct.pack(">8sBBHI16s", b"COVETBK1", suite, CHUNK_LOG2, 0, number, BACKUP) + salt
    key_size = 64 if suite == 3 else 32
    okm = hkdf(DEK, b"covetbackup/1 stream\0" + head, salt, key_size + 32)
    key, result = okm[:key_size], head + okm[key_size:]
    size = 1 << CHUNK_LOG2
    count = len(plain) // size
    for k in range(count + 1):
        nonce = k.to_bytes(11, "big") + bytes([end if k == count else 0])
        result += sealed_chunk(suite, key, nonce, plain[k * size : (k + 1) * size])
    return result


def sealed_chunk(suite: int, key: bytes, nonce: bytes, plain: bytes) -> bytes:
    if suite == 1:
        return AESGCM(key).encrypt(nonce, plain, None)
    if suite == 2:
        return ChaCha20Poly1305(key).encrypt(nonce, plain, None)
    iv = fixed(f"iv {nonce.hex()}", 16)
    padding = 16 - len(plain) % 16
    encryptor = Cipher(algorithms.AES(key[:32]), modes.CBC(iv)).encryptor()
    body = iv + encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()
    return body + hmac.digest(key[32:], nonce + body, "sha256")


def canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def short(name: str, data: bytes) -> str:
    return hashlib.sha256(f"covetbackup/1 {name}\0".encode() + data).digest()[:8].hex()


def keys_object(slots: list[dict[str, Any]], generation: int = 1) -> bytes:
    head = {
        "backup": BACKUP.hex(),
        "digests": [hashlib.sha256(canonical(slot)).hexdigest() for slot in slots],
        "format": "covetbackup keys 1",
        "generation": generation,
    }
    return canonical({**head, "mac": b64(mac("keys", canonical(head))), "slots": slots})


def mac(purpose: str, data: bytes) -> bytes:
    key = hkdf(DEK, b"covetbackup/1 mac\0" + BACKUP + purpose.encode())
    return hmac.digest(key, data, "sha256")


def sealed_text(purpose: str, data: bytes) -> bytes:
    salt = fixed("sealed salt")
    key = hkdf(DEK, b"covetbackup/1 seal\0" + BACKUP + purpose.encode(), salt)
    return salt + AESGCM(key).encrypt(ZERO_NONCE, data, None)


def symmetric_slot(kek: bytes, fields: dict[str, Any]) -> dict[str, Any]:
    salt = fixed(f"slot salt {fields['key']}")
    slot = {**fields, "salt": b64(salt)}
    bound = canonical({**slot, "backup": BACKUP.hex()})
    box = AESGCM(hkdf(kek, b"covetbackup/1 slot\0" + bound, salt))
    return {**slot, "sealed": b64(box.encrypt(ZERO_NONCE, DEK, None))}


def raw_slot() -> dict[str, Any]:
    key_id = "raw-" + hkdf(KEK, b"covetbackup/1 raw id", size=8).hex()
    return symmetric_slot(KEK, {"kind": "raw", "key": key_id})


def passphrase_slot(kdf: dict[str, Any]) -> dict[str, Any]:
    salt, text = fixed(f"kdf salt {kdf['name']}", 16), PASSPHRASE.encode()
    costs = "/".join(f"{name}={value}" for name, value in kdf.items())
    if kdf["name"] == "argon2id":
        kek = Argon2id(
            salt=salt, length=32, iterations=kdf["iterations"], lanes=kdf["lanes"],
            memory_cost=kdf["memory_kib"],
        ).derive(text)  # fmt: skip
    elif kdf["name"] == "scrypt":
        kek = hashlib.scrypt(
            text, salt=salt, n=1 << kdf["log_n"], r=kdf["r"], p=kdf["p"], maxmem=1 << 28, dklen=32
        )
    else:
        kek = hashlib.pbkdf2_hmac("sha256", text, salt, kdf["iterations"])
    key_id = "pass-" + short("passphrase", costs.encode() + b"\0" + salt)
    fields = {"kind": "passphrase", "key": key_id, "kdf": kdf, "kdf_salt": b64(salt)}
    return symmetric_slot(kek, fields)


def x25519_slot() -> dict[str, Any]:
    key_id = "x25519-" + short("x25519", RECOVERY_PUBLIC)
    info = b"covetbackup/1 x25519 slot\0" + BACKUP + key_id.encode()
    return {"kind": "x25519", "key": key_id, "sealed": b64(hpke(RECOVERY_PUBLIC, info, DEK))}


def hpke(public: bytes, info: bytes, plain: bytes) -> bytes:
    """RFC 9180, base mode, KEM 0x0020, KDF 0x0001, AEAD 0x0002, with a fixed ephemeral key."""
    ephemeral = X25519PrivateKey.from_private_bytes(fixed("hpke ephemeral"))
    enc = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"
    eae = labeled_extract(kem, b"", b"eae_prk", shared)
    secret = labeled_expand(kem, eae, b"shared_secret", enc + public, 32)
    hashes = [labeled_extract(suite, b"", b"psk_id_hash", b"")]
    context = b"\0" + hashes[0] + labeled_extract(suite, b"", b"info_hash", info)
    root = labeled_extract(suite, secret, b"secret", b"")
    key = labeled_expand(suite, root, b"key", context, 32)
    nonce = labeled_expand(suite, root, b"base_nonce", context, 12)
    return enc + AESGCM(key).encrypt(nonce, plain, None)


def labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def labeled_expand(suite: bytes, key: bytes, label: bytes, info: bytes, size: int) -> bytes:
    return expand(key, size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, size)


def bech32(prefix: str, data: bytes) -> str:
    """BIP 173."""
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    values = [int(bits[at : at + 5], 2) for at in range(0, len(bits), 5)]
    check = 1
    start = [ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix]
    for value in [*start, *values, *[0] * 6]:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for i, constant in enumerate((996825010, 642813549, 513874426, 1027748829, 705979059)):
            check ^= constant if top >> i & 1 else 0
    values += [(check ^ 1) >> 5 * (5 - i) & 31 for i in range(6)]
    return prefix + "1" + "".join("qpzry9x8gf2tvdw0s3jn54khce6mua7l"[value] for value in values)


def key_files() -> dict[str, bytes]:
    note = "# Published test key: never use it\n"
    working = [
        bech32("covet-raw-", KEK).upper(),
        bech32("covet-sign-sec-", SEED).upper(),
        bech32("covet-x25519-pub-", RECOVERY_PUBLIC),
    ]
    recovery = [
        bech32("covet-x25519-sec-", RECOVERY.private_bytes_raw()).upper(),
        bech32("covet-sign-pub-", SIGNER_PUBLIC),
    ]
    return {
        "working.key": (note + "\n".join(working) + "\n").encode(),
        "recovery.key": (note + "\n".join(recovery) + "\n").encode(),
        "passphrase.txt": f"{PASSPHRASE}\n".encode(),
    }


def values() -> bytes:
    signed = b"covetbackup/1 signature\0manifest\0" + b"a manifest"
    result = {
        "dek": DEK.hex(),
        "backup": BACKUP.hex(),
        "raw_key_id": raw_slot()["key"],
        "x25519_key_id": x25519_slot()["key"],
        "signer_id": "sign-" + short("signer", SIGNER_PUBLIC),
        "mac_of_manifest": {"data": "a manifest", "mac": mac("manifest", b"a manifest").hex()},
        "sealed": {"data": "tables", "sealed": sealed_text("sealed", b"tables").hex()},
        "signature_of_manifest": {"data": "a manifest", "signature": SIGNER.sign(signed).hex()},
        "canonical": {"value": {"b": [1, None, True], "a": "é\n\u0001\"", "B": {}},
                      "bytes": '{"B":{},"a":"é\\n\\u0001\\"","b":[1,null,true]}'},
    }  # fmt: skip
    return json.dumps(result, indent=2, ensure_ascii=False).encode() + b"\n"


def build() -> dict[str, bytes]:
    """Every vector file by name."""
    argon2id = {"name": "argon2id", "iterations": 3, "memory_kib": 65536, "lanes": 4}
    scrypt = {"name": "scrypt", "log_n": 17, "r": 8, "p": 1}
    pbkdf2 = {"name": "pbkdf2-hmac-sha256", "iterations": 600_000}
    unknown = {"kind": "kms", "key": "kms-1", "blob": "AAAA"}
    streams = {
        f"{name}.cvb": encrypted_object(PLAIN, suite, 1 << 16, END)
        for suite, name in SUITES.items()
    }
    return {
        "plain.bin": PLAIN,
        **streams,
        "volume-0.cvb": encrypted_object(PLAIN[:8192], 1, 2 << 16, MORE),
        "volume-1.cvb": encrypted_object(PLAIN[8192:], 1, 2 << 16 | 1, END),
        "empty.cvb": encrypted_object(b"", 1, 3 << 16, END),
        **key_files(),
        "keys-raw.json": keys_object([raw_slot()]),
        "keys-x25519.json": keys_object([x25519_slot()]),
        "keys-argon2id.json": keys_object([passphrase_slot(argon2id)]),
        "keys-scrypt.json": keys_object([passphrase_slot(scrypt)]),
        "keys-pbkdf2.json": keys_object([passphrase_slot(pbkdf2)]),
        "keys-all.json": keys_object(
            [raw_slot(), passphrase_slot(argon2id), x25519_slot(), unknown], generation=2
        ),
        "vectors.json": values(),
    }


if __name__ == "__main__":
    for name, data in build().items():
        (Path(__file__).parent / name).write_bytes(data)
