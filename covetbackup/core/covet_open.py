#!/usr/bin/env python3
"""Gets a database out of a CovetBackup backup, without CovetBackup.

    python3 covet_open.py list FOLDER
    python3 covet_open.py FOLDER MEMBER --key-file FILE > OUTPUT

FOLDER is the folder of one backup, or a repository (then with --label); it is only read. Needs
Python 3.9, its package "cryptography" and, for zstd before Python 3.14, "backports.zstd" or
"zstandard". What is done here, and with which numbers, is explained in FORMAT.md.

Exit status 0: every check passed, OUTPUT is exactly what was backed up. Else throw OUTPUT away:
its last piece is missing, so that a program that reads it from a pipe does not take it for whole.
"""

from __future__ import annotations

import base64
import bz2
import contextlib
import hashlib
import hmac
import importlib
import json
import lzma
import re
import struct
import sys
import unicodedata
import zlib
from argparse import ArgumentParser, Namespace, RawTextHelpFormatter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LABEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}/\d{8}T\d{6}Z-[0-9a-f]{32}")
OBJECT = re.compile(r"(?!.*/[./-])[A-Za-z0-9_][A-Za-z0-9._/-]*")
SIGNED = b"covetbackup/1 signature\0manifest\0"
DETAILS_LIMIT, PIECE = 256 << 20, 1 << 20
RAW, PRIVATE, TRUSTED = "covet-raw-", "covet-x25519-sec-", "covet-sign-pub-"
KDF_BOUNDS = {
    "argon2id": {"iterations": (3, 10), "memory_kib": (65536, 1048576), "lanes": (1, 16)},
    "scrypt": {"log_n": (17, 20), "r": (8, 32), "p": (1, 8)},
    "pbkdf2-hmac-sha256": {"iterations": (600_000, 10_000_000)},
}
Json = dict[str, Any]


class Refused(Exception):
    """The reason why nothing, or nothing more, is written: one sentence."""


def main() -> int:
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", help='a folder, or the word "list"')
    parser.add_argument("member", metavar="MEMBER", help="as list shows it; after list: a folder")
    parser.add_argument("--label", default="", help="which backup, when FOLDER is a repository")
    parser.add_argument("--key-file", action="append", default=[], metavar="FILE")
    parser.add_argument("--passphrase-file", action="append", default=[], metavar="FILE")
    parser.add_argument("--trust-any", action="store_true", help="accept any maker of the backup")
    given = parser.parse_args()
    try:
        return list_backups(Path(given.member)) if given.folder == "list" else extract(given)
    except Exception as error:  # whatever it is, it must end in a sentence and a status
        is_ours = isinstance(error, Refused)
        say(f"{'' if is_ours else f'stopped by {type(error).__name__}: '}{error}")
    say("FAILED: if anything was written, it is not the backup")
    return 1


def list_backups(folder: Path) -> int:
    here, status = folder / "manifest.json", 0
    for path in [here] if here.exists() else sorted(folder.glob("b/*/*/manifest.json")):
        try:
            backup = Backup(path.parent)
            say("{label}  {kind}  {codec}  {cipher}".format(**backup.manifest), to=sys.stdout)
            for name, members in backup.streams.items():
                size = sum(volume["size"] for each in members for volume in each["volumes"])
                say(f"    {name}  {size} bytes stored", to=sys.stdout)
        except (Refused, LookupError, OSError, TypeError, ValueError) as error:
            say(f"{path}: {error}")
            status = 1
    return status


def extract(given: Namespace) -> int:
    backup = Backup(Path(given.folder, "b", given.label) if given.label else Path(given.folder))
    backup.unlock(Keys(given.key_file, given.passphrase_file), trust_any=given.trust_any)
    if given.member not in backup.streams:
        raise Refused(f"it has no member {given.member}; it has {', '.join(backup.streams)}")
    codec = backup.manifest["codec"].partition(":")[0]
    for member in backup.streams[given.member]:
        name, pieces = member["name"], backup.packed(member)
        plain, digest, size, held = backup.details["plain"][name], hashlib.sha256(), 0, b""
        for piece in filter(None, pieces if codec == "none" else decompressed(pieces, codec)):
            sys.stdout.buffer.write(held)
            digest.update(piece)
            held, size = piece, size + len(piece)
            if size > plain["size"]:
                raise Refused(f"{name}: the data goes on after its {plain['size']} bytes")
        if (size, digest.hexdigest()) != (plain["size"], plain["sha256"]):
            raise Refused(f"{name}: size or SHA-256 of the data differs from the manifest")
        sys.stdout.buffer.write(held)
        say(f"{name}: {size} bytes, SHA-256 {digest.hexdigest()}: every check passed")
    sys.stdout.buffer.flush()
    return 0


def say(text: str, to: TextIO = sys.stderr) -> None:
    clean = "".join(char if char.isprintable() else "?" for char in text)
    print(clean if to is sys.stdout else f"covet_open: {clean}", file=to)


class Backup:
    """One backup. Its manifest is checked at once as far as that needs no key."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "manifest.json").exists():
            raise Refused(f"{folder} is not a backup's folder (is it a repository? give --label)")
        self.folder, data = folder, (folder / "manifest.json").read_bytes()
        manifest = self.manifest = json.loads(data)
        if manifest["format"] != "covetbackup-manifest/1":
            raise Refused("the manifest has a format that this program does not know")
        self.proven, label = canonical(manifest, "digest", "mac", "signature"), manifest["label"]
        digest = hashlib.sha256(canonical(manifest, "digest")).hexdigest()
        if canonical(manifest) != data or manifest["digest"] != digest:
            raise Refused("the manifest is damaged: it does not match its own digest")
        place = "/".join(folder.absolute().parts[-2:])
        if not LABEL.fullmatch(label) or (LABEL.fullmatch(place) and place != label):
            raise Refused(f"the manifest is that of another backup, {label}")
        self.streams: dict[str, list[Json]] = {}
        members = {member["name"]: member for member in manifest["members"]}
        for name in sorted(members):  # NAME.0000, NAME.0001 and so on are parts of one stream NAME
            is_part = f"{name[:-4]}0000" in members and name[-5] == "."
            self.streams.setdefault(name[:-5] if is_part else name, []).append(members[name])
        self.id, self.signer = bytes.fromhex(label[-32:]), from_base64(manifest["signer"])
        signature, signed = from_base64(manifest["signature"]), SIGNED + self.proven
        try:
            if self.signer or signature:
                ed25519.Ed25519PublicKey.from_public_bytes(self.signer).verify(signature, signed)
        except (InvalidSignature, ValueError):
            raise Refused("the manifest was changed after it was signed") from None

    def unlock(self, keys: Keys, *, trust_any: bool) -> None:
        """Find the data key, open the rest of the manifest, refuse a backup of unknown origin."""
        self.dek, vouched, self.details = b"", False, self.manifest.get("details")
        if self.manifest["cipher"] != "none":
            self.dek, vouched = self.find_dek(keys)
            if not is_mac(self.manifest["mac"], self.dek, self.id + b"manifest", self.proven):
                raise Refused("the manifest was changed after it was written")
            sealed = from_base64(self.manifest["sealed"])
            key = hkdf(self.dek, sealed[:32], b"covetbackup/1 seal\0" + self.id + b"sealed")
            details = AESGCM(key).decrypt(bytes(12), sealed[32:], None)
            self.details = json.loads(zlib.decompressobj().decompress(details, DETAILS_LIMIT))
        elif self.manifest["mac"]:
            raise Refused("the manifest was changed after it was written")
        say(f"backup {self.manifest['label']}: the manifest is whole")
        digest = hashlib.sha256(b"covetbackup/1 signer\0" + self.signer).hexdigest()
        signer = f"sign-{digest[:16]}" if self.signer else "no key"
        if self.signer and self.signer in keys.all[TRUSTED]:
            return say(f"checked: it is signed by {signer}, a signer in your key file")
        say(f"NOT checked: who made it. It is signed by {signer}, not by a signer in a key file")
        if vouched:
            return say("checked: who made it had the secret key or passphrase that you gave")
        if not trust_any:  # restoring it runs the SQL of who made it
            raise Refused("its maker is not proven: give its signer in a key file, or --trust-any")

    def find_dek(self, keys: Keys) -> tuple[bytes, bool]:
        """Return the data key, and whether a secret of yours proves who made the backup."""
        here, mirror, folder = "keys.??????.json", self.id.hex() + ".??????.json", self.folder
        beside = (folder, folder / "keys-mirror", folder / "../../../keys-mirror")
        copies = [*folder.glob(here), *(copy for place in beside for copy in place.glob(mirror))]
        problems = []
        for path in sorted(copies, key=lambda path: path.name[-11:], reverse=True):
            try:
                return self.unwrap(json.loads(path.read_bytes()), path.name, keys)
            except (Refused, LookupError, OSError, TypeError, ValueError) as error:
                problems.append(f"{path.name}: {error}")
        raise Refused("; ".join(problems) or f"no {here} and no keys-mirror/{mirror} is there")

    def unwrap(self, found: Json, name: str, keys: Keys) -> tuple[bytes, bool]:
        slots, digests, head = found["slots"], found["digests"], canonical(found, "slots", "mac")
        expected = ("covetbackup keys 1", self.id.hex(), int(name[-11:-5]))
        if (found["format"], found["backup"], found["generation"]) != expected:
            raise Refused("it is of another backup, generation or format")
        if len(slots) != len(digests) or not 1 <= len(slots) <= 16:
            raise Refused("it has a wrong number of slots")
        intact = [slot for slot, digest in zip(slots, digests)  # noqa: B905
                  if hashlib.sha256(canonical(slot)).hexdigest() == digest]  # fmt: skip
        # A slot for a recipient proves no maker: a secret that does goes first.
        for slot in sorted(intact, key=lambda slot: "raw passphrase x25519".find(slot["kind"])):
            for box, nonce, sealed in keys.attempts(slot, self.id):
                try:
                    dek = box.decrypt(nonce, sealed, None)
                except InvalidTag:
                    continue
                if len(dek) != 32 or not is_mac(found["mac"], dek, self.id + b"keys", head):
                    raise Refused("it was changed after it was written")
                return dek, slot["kind"] != "x25519"
        raise Refused(f"no key that you gave opens it; needed: {[slot['key'] for slot in intact]}")

    def packed(self, member: Json) -> Iterator[bytes]:
        """Yield the volumes of `member`, decrypted and joined, still compressed."""
        number, volumes = self.manifest["members"].index(member), member["volumes"]
        for position, stored in enumerate(volumes):
            if not OBJECT.fullmatch(stored["name"]) or stored["number"] != number << 16 | position:
                raise Refused(f"the manifest names an impossible object {stored['name']}")
            digest, last = hashlib.sha256(), 2 if stored is volumes[-1] else 1
            with open(self.folder / stored["name"], "rb") as file:
                yield from self.chunks(file, digest, stored, last=last)
            if digest.hexdigest() != stored["sha256"]:
                raise Refused(f"{stored['name']} does not have its SHA-256")

    def chunks(self, file: BinaryIO, digest: Any, stored: Json, *, last: int) -> Iterator[bytes]:
        """Yield an object in pieces; of an encrypted one none that is not genuine and in place."""

        def read(size: int) -> bytes:
            data = file.read(size)
            digest.update(data)
            return data

        if not self.dek:
            return (yield from iter(lambda: read(PIECE), b""))
        header, number, name, known = read(96), 0, stored["name"], [stored["number"], self.id]
        head = struct.unpack(">8sBBHI16s", header[:32].ljust(32, b"\0"))
        magic, suite, chunk_log2, flags, *found = head
        if (magic, flags) != (b"COVETBK1", 0) or not (1 <= suite <= 3 and 12 <= chunk_log2 <= 24):
            raise Refused(f"{name} is damaged, or needs a newer program")
        info = b"covetbackup/1 stream\0" + header[:64]
        derived = hkdf(self.dek, header[32:64], info, 96 if suite == 3 else 64)
        if found != known or not hmac.compare_digest(derived[-32:], header[64:]):
            raise Refused(f"{name} has a damaged header, or is another object")
        flag, size = 0, (1 << chunk_log2) + (64 if suite == 3 else 16)
        while not flag:
            sealed = read(size)
            flag = 0 if len(sealed) == size else last
            try:
                nonce = number.to_bytes(11, "big") + bytes([flag])
                yield open_chunk(suite, derived[:-32], nonce, sealed)
            except InvalidTag:
                raise Refused(f"{name}: chunk {number} is damaged, misplaced or cut") from None
            number += 1


class Keys:
    """The keys of key files, by the prefix they have there, and passphrases."""

    def __init__(self, key_files: list[str], passphrase_files: list[str]) -> None:
        self.all: dict[str, list[bytes]] = {RAW: [], PRIVATE: [], TRUSTED: []}
        for path in key_files:
            for line in Path(path).read_text(encoding="utf-8").splitlines():
                if text := line.partition("#")[0].strip():
                    prefix, key = bech32(text)
                    self.all.setdefault(prefix, []).append(key)
        seeds = self.all.get("covet-sign-sec-", [])
        signers = map(ed25519.Ed25519PrivateKey.from_private_bytes, seeds)
        self.all[TRUSTED] += map(public_half, signers)
        texts = [re.sub(rb"\r?\n\Z", b"", Path(path).read_bytes()) for path in passphrase_files]
        self.passphrases = [unicodedata.normalize("NFC", text.decode()).encode() for text in texts]

    def attempts(self, slot: Json, of: bytes) -> Iterator[tuple[AESGCM, bytes, bytes]]:
        """Yield what to try on a slot: cipher, nonce and encrypted key, for each fitting key."""
        sealed, kind = from_base64(slot.get("sealed", "")), slot["kind"]
        info = b"covetbackup/1 x25519 slot\0" + of + slot["key"].encode()
        for secret in self.all[PRIVATE] if kind == "x25519" else []:
            private = x25519.X25519PrivateKey.from_private_bytes(secret)
            yield (*hpke(private, sealed[:32], info), sealed[32:])
        keks = self.all[RAW][:] if kind == "raw" else []
        keks += [derive(words, slot) for words in self.passphrases if kind == "passphrase"]
        info = b"covetbackup/1 slot\0" + canonical({**slot, "backup": of.hex()}, "sealed")
        for kek in keks:
            yield AESGCM(hkdf(kek, from_base64(slot["salt"]), info)), bytes(12), sealed


def bech32(text: str) -> tuple[str, bytes]:
    """Prefix and 32 bytes of a key in a key file (BIP 173)."""
    letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    prefix, _, body = text.lower().rpartition("1")
    if text not in (text.lower(), text.upper()) or set(body) - set(letters) or len(body) != 58:
        raise Refused("a line of a key file is not a whole key")
    values, codes, check = [letters.index(char) for char in body], prefix.encode(), 1
    for value in [code >> 5 for code in codes] + [0] + [code & 31 for code in codes] + values:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= term if top >> bit & 1 else 0
    number = sum(value << 5 * place for place, value in enumerate(reversed(values[:52])))
    if check != 1 or number & 15:  # 52 letters are 256 bits and four zeros
        raise Refused("the checksum of a key in a key file is wrong: is there a typing error?")
    return prefix, (number >> 4).to_bytes(32, "big")


def derive(words: bytes, slot: Json) -> bytes:
    """Return a key from a passphrase; the slot's costs are bounded before any work is done."""
    cost, salt = dict(slot["kdf"]), from_base64(slot["kdf_salt"])
    name = cost.pop("name")
    bounds, is_known = KDF_BOUNDS[name], cost.keys() == KDF_BOUNDS[name].keys()
    if not is_known or not all(a <= cost[k] <= b for k, (a, b) in bounds.items()):
        raise Refused(f"its {name} parameters are out of bounds")
    if name == "pbkdf2-hmac-sha256":
        return hashlib.pbkdf2_hmac("sha256", words, salt, cost["iterations"], 32)
    if name == "scrypt":  # which refuses to take more memory than it is allowed
        n, memory = 1 << cost.pop("log_n"), (1 << 30) + (1 << 20)
        return hashlib.scrypt(words, salt=salt, n=n, **cost, maxmem=memory, dklen=32)
    argon2 = importlib.import_module("cryptography.hazmat.primitives.kdf.argon2")  # from 44 on
    cost["memory_cost"] = cost.pop("memory_kib")
    return bytes(argon2.Argon2id(salt=salt, length=32, **cost).derive(words))


def hpke(private: x25519.X25519PrivateKey, sender: bytes, info: bytes) -> tuple[AESGCM, bytes]:
    """Cipher and nonce of RFC 9180: base mode, X25519, HKDF-SHA256, AES-256-GCM, first message."""
    kem, suite = b"HPKE-v1KEM\0\x20", b"HPKE-v1HPKE\0\x20\0\x01\0\x02"

    def expand(key: bytes, size: int, labeled: bytes) -> bytes:
        return mac(key, struct.pack(">H", size) + labeled + b"\x01")[:size]

    shared = private.exchange(x25519.X25519PublicKey.from_public_bytes(sender))
    shared = mac(b"", kem + b"eae_prk" + shared)
    shared = expand(shared, 32, kem + b"shared_secret" + sender + public_half(private))
    context = b"\0" + mac(b"", suite + b"psk_id_hash") + mac(b"", suite + b"info_hash" + info)
    base = mac(shared, suite + b"secret")
    box = AESGCM(expand(base, 32, suite + b"key" + context))
    return box, expand(base, 12, suite + b"base_nonce" + context)


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int = 32) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)


def mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, "sha256").digest()


def is_mac(tag: str, dek: bytes, purpose: bytes, data: bytes) -> bool:
    key = hkdf(dek, b"", b"covetbackup/1 mac\0" + purpose)
    return hmac.compare_digest(mac(key, data), from_base64(tag))


def public_half(key: ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def open_chunk(suite: int, key: bytes, nonce: bytes, sealed: bytes) -> bytes:
    if suite < 3:
        return (AESGCM if suite == 1 else ChaCha20Poly1305)(key).decrypt(nonce, sealed, None)
    body, tag = sealed[:-32], sealed[-32:]
    if not hmac.compare_digest(mac(key[32:], nonce + body), tag):
        raise InvalidTag
    decryptor = Cipher(algorithms.AES(key[:32]), modes.CBC(body[:16])).decryptor()
    padded = decryptor.update(body[16:]) + decryptor.finalize()
    return padded[: -padded[-1]]


def canonical(value: Any, *omitted: str) -> bytes:
    value = {k: v for k, v in value.items() if k not in omitted} if omitted else value
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def from_base64(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise Refused("a text is not base64 as its writer spells it")
    return data


def decompressed(packed: Iterable[bytes], codec: str) -> Iterator[bytes]:
    decoder = decoder_of(codec)
    for data in (piece[at : at + 1024] for piece in packed for at in range(0, len(piece), 1024)):
        while data:  # so little at a time, as some decoders know no limit for what comes out
            decoder = decoder or decoder_of(codec)
            yield decoder.decompress(data)
            data, decoder = (decoder.unused_data, None) if decoder.eof else (b"", decoder)
    if decoder:
        raise Refused(f"the {codec} data ends too early")


def decoder_of(codec: str) -> Any:
    """Return a decoder for one frame that tells its end (`eof`) from the end of the data."""
    if codec == "gzip":
        return zlib.decompressobj(31)
    if codec == "bzip2":
        return bz2.BZ2Decompressor()
    if codec == "lzma":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=128 << 20)
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        with contextlib.suppress(ImportError):
            made = importlib.import_module(name).ZstdDecompressor()
            # Not the readers of `zstandard`: they take cut data for whole data.
            return made.decompressobj() if name == "zstandard" else made
    raise Refused(f"to read {codec}, install the Python package 'backports.zstd' or 'zstandard'")


if __name__ == "__main__":
    sys.exit(main())
