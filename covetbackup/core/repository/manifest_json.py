"""Manifests as bytes: canonical JSON, a digest, a MAC under the backup's DEK, a signature.

The body is everything but "digest", "mac" and "signature". MAC and signature are made over the
body's canonical form, the digest over that of everything but itself; a document that is not
exactly its own canonical form is refused. So no byte can change unseen, even by accident and
without any key at hand. FORMAT.md describes every field.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from dataclasses import replace
from typing import Any

from covetbackup.core.crypto import canonical, subkeys
from covetbackup.core.crypto.dek import Dek
from covetbackup.core.crypto.signing import Signer, TrustedSigner
from covetbackup.core.crypto.subkeys import Purpose
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.databases.base import Span
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.errors import BadSetting, ConfigurationError, ManifestInvalid, Tampered
from covetbackup.core.repository.json_reader import Fields, format_instant
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.manifest import (
    BackupObject,
    Details,
    Manifest,
    PlainFacts,
    StoredMember,
)
from covetbackup.core.storage.base import check_name
from covetbackup.core.stream.codec import CodecSpec

FORMAT = "covetbackup-manifest/1"
SIZE_LIMIT = 16 * 1024 * 1024
DETAILS_LIMIT = 256 * 1024 * 1024
_PROOFS = ("digest", "mac", "signature")


def encode(manifest: Manifest, *, dek: Dek | None, signer: Signer | None) -> bytes:
    """Return `manifest` as bytes: details encrypted and MAC added under `dek`, signed by `signer`.

    Raises `ManifestInvalid` if it is larger than `SIZE_LIMIT`.
    """
    body = _body(manifest, dek)
    body["signer"] = public_text(signer)
    proven = canonical.dump(body)
    document = {**body, "mac": "", "signature": ""}
    if dek is not None:
        mac = subkeys.mac(dek, manifest.label.backup_id, Purpose.MANIFEST, proven)
        document["mac"] = base64.b64encode(mac).decode()
    if signer is not None:
        document["signature"] = base64.b64encode(signer.sign(proven, Purpose.MANIFEST)).decode()
    data = canonical.dump({**document, "digest": document_digest(document)})
    if len(data) > SIZE_LIMIT:
        raise ManifestInvalid(f"the manifest of {manifest.label} would be {len(data)} bytes long")
    return data


def public_text(signer: Signer | None) -> str:
    """Return how a manifest names its signer: the public key in base64, "" without one."""
    return base64.b64encode(signer.trusted.public).decode() if signer else ""


def decode(data: bytes, label: Label) -> Manifest:
    """Return the manifest found under `label`, with everything checked that needs no key.

    That is form, digest, place, and the signature by the signer it names; whether that one is
    trusted is another question. Raises `ManifestInvalid`.
    """
    what = f"manifest of {label}"
    document, body = _document(data, what)
    if body.get("format") != FORMAT:
        raise ManifestInvalid(
            f"{what} has format {str(body.get('format'))[:60]!r}",
            "a newer CovetBackup wrote it? update this one",
        )
    fields = Fields(body, what)
    if fields.text("label") != str(label):
        raise ManifestInvalid(f"{what} belongs to {fields.text('label')[:120]}", "was it moved?")
    _check_signature(document, body, what)
    try:
        return _fitting(_manifest(fields, label), what)
    except ConfigurationError as error:
        raise ManifestInvalid(f"{what} is damaged: {error}") from error


def unlock(data: bytes, manifest: Manifest, dek: Dek) -> Manifest:
    """Return `manifest` (decoded from `data`) with its MAC checked and its details decrypted.

    Raises `Tampered`, and `ManifestInvalid` for details that no writer of ours makes.
    """
    what = f"manifest of {manifest.label}"
    document, body = _document(data, what)
    proven, tag = canonical.dump(body), _decode_base64(document, "mac", what)
    if not subkeys.check_mac(dek, manifest.label.backup_id, Purpose.MANIFEST, proven, tag=tag):
        raise Tampered(f"{what} was changed after it was written")
    encrypted = _decode_base64(body, "sealed", what)
    plain = subkeys.decrypt_bytes(dek, manifest.label.backup_id, Purpose.SEALED, encrypted)
    return _fitting(replace(manifest, details=_details(_inflate(plain, what), what)), what)


def _document(data: bytes, what: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        document = canonical.parse(data, limit=SIZE_LIMIT)
    except ManifestInvalid as error:
        raise ManifestInvalid(f"{what} is damaged: {error}") from error
    body = {name: value for name, value in document.items() if name not in _PROOFS}
    if canonical.dump(document) != data or document.get("digest") != document_digest(document):
        raise ManifestInvalid(f"{what} is damaged: it does not match its own digest")
    return document, body


def document_digest(document: dict[str, Any]) -> str:
    """Return the digest that a manifest's document holds of all its other fields."""
    covered = {name: value for name, value in document.items() if name != "digest"}
    return hashlib.sha256(canonical.dump(covered)).hexdigest()


def _check_signature(document: dict[str, Any], body: dict[str, Any], what: str) -> None:
    public = _decode_base64(body, "signer", what)
    signature = _decode_base64(document, "signature", what)
    if bool(public) != bool(signature):
        raise ManifestInvalid(f"{what} is damaged: signer and signature do not go together")
    if not public:
        return
    try:
        signer = TrustedSigner(public)
        signer.verify(canonical.dump(body), Purpose.MANIFEST, signature=signature)
    except (BadSetting, Tampered) as error:
        raise ManifestInvalid(f"{what} was changed after it was signed") from error


def _body(manifest: Manifest, dek: Dek | None) -> dict[str, Any]:
    span = manifest.span
    body = {
        "format": FORMAT,
        "label": str(manifest.label),
        "origin": list(manifest.origin),
        "sequence": manifest.sequence,
        "previous": manifest.previous,
        "kind": manifest.kind,
        "method": manifest.method,
        "server_version": manifest.server_version,
        "tool_version": manifest.tool_version,
        "started_at": format_instant(manifest.started_at),
        "finished_at": format_instant(manifest.finished_at),
        "span": {
            "start_position": span.start_position,
            "stop_position": span.stop_position,
            "branch": span.branch,
            "started_at": format_instant(span.started_at),
            "stopped_at": format_instant(span.stopped_at),
        },
        "codec": str(manifest.codec),
        "cipher": manifest.suite.value if manifest.suite else "none",
        "members": [_member_json(member) for member in manifest.members],
    }
    details = _details_json(manifest.opened)
    if dek is None:
        return {**body, "details": details}
    packed = zlib.compress(canonical.dump(details), level=6)
    encrypted = subkeys.encrypt_bytes(dek, manifest.label.backup_id, Purpose.SEALED, packed)
    return {**body, "sealed": base64.b64encode(encrypted).decode()}


def _member_json(member: StoredMember) -> dict[str, Any]:
    index = member.frame_index
    return {
        "name": member.name,
        "volumes": [_object_json(volume) for volume in member.volumes],
        "index": [_object_json(index)] if index else [],
    }


def _object_json(stored: BackupObject) -> dict[str, Any]:
    return {
        "name": stored.name,
        "number": stored.number,
        "size": stored.size,
        "sha256": stored.sha256,
    }


def _details_json(details: Details) -> dict[str, Any]:
    return {
        "database": details.database,
        "where": details.where,
        "inventory": details.inventory.to_json(),
        "plain": {
            name: {"size": facts.size, "sha256": facts.sha256}
            for name, facts in details.plain.items()
        },
        "warnings": list(details.warnings),
    }


def _manifest(fields: Fields, label: Label) -> Manifest:
    span = fields.part("span")
    cipher = fields.text("cipher")
    suite = None if cipher == "none" else _suite(cipher)
    details = None if suite else _details(fields.part("details").values, fields.what)
    return Manifest(
        label=label,
        origin=fields.texts("origin"),
        sequence=fields.number("sequence"),
        previous=fields.text("previous"),
        kind=fields.text("kind"),
        method=fields.text("method"),
        server_version=fields.text("server_version"),
        tool_version=fields.text("tool_version"),
        span=Span(
            start_position=span.text("start_position"),
            stop_position=span.text("stop_position"),
            branch=span.text("branch"),
            started_at=span.instant("started_at"),
            stopped_at=span.instant("stopped_at"),
        ),
        started_at=fields.instant("started_at"),
        finished_at=fields.instant("finished_at"),
        codec=CodecSpec.parse(fields.text("codec")),
        suite=suite,
        members=_members(fields),
        details=details,
        signer=fields.text("signer"),
    )


def _fitting(manifest: Manifest, what: str) -> Manifest:
    """`manifest` if its open details are those of its members."""
    details = manifest.details
    if details is not None and {*details.plain} != {member.name for member in manifest.members}:
        raise ManifestInvalid(f"{what} is damaged: its details are of other members")
    return manifest


def _suite(name: str) -> Suite:
    try:
        return Suite(name)
    except ValueError:
        raise ManifestInvalid(
            f"cipher {name[:60]!r} is not known here", "a newer CovetBackup wrote it? update"
        ) from None


def _members(fields: Fields) -> tuple[StoredMember, ...]:
    members = tuple(_member(part) for part in fields.parts("members"))
    named = [member.name for member in members]
    stored = [one.name for member in members for one in member.objects]
    if len({*named}) < len(named) or len({*stored}) < len(stored):
        raise ManifestInvalid(f"{fields.what} is damaged: it names a member or object twice")
    return members


def _member(fields: Fields) -> StoredMember:
    index = [_object(part) for part in fields.parts("index")]
    return StoredMember(
        name=fields.text("name"),
        volumes=tuple(_object(part) for part in fields.parts("volumes")),
        frame_index=index[0] if index else None,
    )


def _object(fields: Fields) -> BackupObject:
    if "/" in check_name(fields.text("name")) or fields.number("number") >> 32:
        raise ManifestInvalid(f"{fields.what} is damaged: an object's name or number is none")
    return BackupObject(
        name=fields.text("name"),
        number=fields.number("number"),
        size=fields.number("size"),
        sha256=fields.digest("sha256"),
    )


def _details(values: dict[str, Any], what: str) -> Details:
    fields = Fields(values, what)
    plain = fields.part("plain")
    facts = {name: plain.part(name) for name in plain.values}
    try:
        inventory = Inventory.from_json(fields.part("inventory").values)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ManifestInvalid(f"{what} is damaged: its inventory cannot be read") from error
    return Details(
        database=fields.text("database"),
        where=fields.text("where"),
        inventory=inventory,
        plain={n: PlainFacts(f.number("size"), f.digest("sha256")) for n, f in facts.items()},
        warnings=fields.texts("warnings"),
    )


def _inflate(packed: bytes, what: str) -> dict[str, Any]:
    decoder = zlib.decompressobj()
    try:
        plain = decoder.decompress(packed, DETAILS_LIMIT)
    except zlib.error as error:
        raise ManifestInvalid(f"{what} has details that do not decompress") from error
    if not decoder.eof:
        raise ManifestInvalid(f"{what} has details of more than {DETAILS_LIMIT} bytes")
    return canonical.parse(plain, limit=DETAILS_LIMIT)


def _decode_base64(values: dict[str, Any], name: str, what: str) -> bytes:
    text = Fields(values, what).text(name)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ManifestInvalid(f"{what} is damaged: {name!r} is not base64") from error
    if base64.b64encode(data).decode() != text:
        raise ManifestInvalid(f"{what} is damaged: {name!r} is not base64 in its one spelling")
    return data
