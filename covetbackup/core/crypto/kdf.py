"""Keys from passphrases: Argon2id (RFC 9106), scrypt (RFC 7914), PBKDF2-HMAC-SHA256 (RFC 8018).

Parameters come from keys objects, which an attacker may have written: they are held between a
floor and a ceiling before any work is done.
"""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass, fields
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from covetbackup.core.errors import BadSetting, ManifestInvalid

SALT_BYTES = 16
KEK_BYTES = 32
MEMORY_CEILING = 1 << 30
"""Bytes: what a reader will spend on one derivation, whatever a keys object asks for."""


@dataclass(frozen=True, slots=True)
class Argon2idCost:
    """RFC 9106's second recommended choice: 170 ms and 64 MiB where this was measured."""

    iterations: int = 3
    memory_kib: int = 64 * 1024
    lanes: int = 4

    name = "argon2id"

    def problem(self) -> str:
        """Return what is out of bounds, "" if nothing is."""
        if not (3 <= self.iterations <= 10):
            return "iterations must be from 3 to 10"
        if not (64 * 1024 <= self.memory_kib <= MEMORY_CEILING >> 10):
            return "memory_kib must be from 65536 to 1048576"
        return "" if 1 <= self.lanes <= 16 else "lanes must be from 1 to 16"

    def derive(self, passphrase: bytes, salt: bytes) -> bytes:
        return Argon2id(
            salt=salt,
            length=KEK_BYTES,
            iterations=self.iterations,
            lanes=self.lanes,
            memory_cost=self.memory_kib,
        ).derive(passphrase)


@dataclass(frozen=True, slots=True)
class ScryptCost:
    """The cost of scrypt (RFC 7914): 128 * r * 2^log_n bytes, 128 MiB and 500 ms by default."""

    log_n: int = 17
    r: int = 8
    p: int = 1

    name = "scrypt"

    def problem(self) -> str:
        """Return what is out of bounds, "" if nothing is."""
        if not (17 <= self.log_n <= 20):
            return "log_n must be from 17 to 20"
        if not (8 <= self.r <= 32) or 128 * self.r << self.log_n > MEMORY_CEILING:
            return "r must be from 8 to 32 and take at most 1 GiB"
        return "" if 1 <= self.p <= 8 else "p must be from 1 to 8"

    def derive(self, passphrase: bytes, salt: bytes) -> bytes:
        return Scrypt(salt=salt, length=KEK_BYTES, n=1 << self.log_n, r=self.r, p=self.p).derive(
            passphrase
        )


@dataclass(frozen=True, slots=True)
class Pbkdf2Cost:
    """HMAC-SHA256; the choice where FIPS rules apply. 120 ms by default."""

    iterations: int = 600_000

    name = "pbkdf2-hmac-sha256"

    def problem(self) -> str:
        """Return what is out of bounds, "" if nothing is."""
        valid = 600_000 <= self.iterations <= 10_000_000
        return "" if valid else "iterations must be from 600000 to 10000000"

    def derive(self, passphrase: bytes, salt: bytes) -> bytes:
        return PBKDF2HMAC(
            algorithm=SHA256(), length=KEK_BYTES, salt=salt, iterations=self.iterations
        ).derive(passphrase)


Cost = Argon2idCost | ScryptCost | Pbkdf2Cost
_COSTS: dict[str, type[Cost]] = {cost.name: cost for cost in (Argon2idCost, ScryptCost, Pbkdf2Cost)}


@dataclass(frozen=True, slots=True)
class KdfParams:
    """The derivation of a KEK from a passphrase: function, cost, and the key's 16-byte salt.

    Creating one with a cost outside its bounds raises `BadSetting`: nothing is ever derived with
    parameters that were not checked.
    """

    cost: Cost
    salt: bytes

    def __post_init__(self) -> None:
        numbers = asdict(self.cost).values()
        problem = self.cost.problem() if all(type(n) is int for n in numbers) else "not an integer"
        if not problem and len(self.salt) != SALT_BYTES:
            problem = f"the salt must have {SALT_BYTES} bytes"
        if problem:
            raise BadSetting(f"{self.cost.name} parameters are out of bounds: {problem}")

    def derive(self, passphrase: bytes) -> bytes:
        """Return the 32-byte KEK. Takes 0.1 to some seconds and up to 1 GiB; releases the GIL."""
        return self.cost.derive(passphrase, self.salt)


def cost_to_json(cost: Cost) -> dict[str, Any]:
    """Return `cost` as it stands in a slot: the function's name and its numbers."""
    return {"name": cost.name, **asdict(cost)}


def cost_from_json(data: Any) -> Cost:
    """Return the cost that `cost_to_json` wrote.

    Raises `ManifestInvalid` for an unknown function or other fields than its own.
    """
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise ManifestInvalid("key derivation parameters are malformed")
    kind = _COSTS.get(data["name"])
    if kind is None:
        raise ManifestInvalid(f"key derivation {data['name'][:40]!r} is unknown")
    numbers = {key: value for key, value in data.items() if key != "name"}
    if set(numbers) != {field.name for field in fields(kind)}:
        raise ManifestInvalid(f"{kind.name} parameters are malformed")
    return kind(**numbers)


def normalise(text: str) -> bytes:
    """Return a passphrase as it enters a KDF: NFC, UTF-8, without one trailing line end.

    So the same words typed on another system or saved by an editor give the same key.
    """
    if text.endswith("\n"):
        text = text[:-1].removesuffix("\r")
    return unicodedata.normalize("NFC", text).encode("utf-8")
