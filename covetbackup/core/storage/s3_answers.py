"""Checks that an answer comes from an S3 store at all, and where a redirect points to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from covetbackup.core.errors import StorageError, StorageUnavailable, WrongEndpoint

_REQUIRED: dict[str, tuple[str, ...]] = {
    "head_object": ("ContentLength", "LastModified"),
    "create_multipart_upload": ("UploadId",),
    "upload_part": ("ETag",),
}
_WITH_CONTENT = ("get_object", "list_objects_v2", "list_multipart_uploads")
"""Some stores label empty answers text/html, so the label counts for these operations only."""


def check_answer(answer: Mapping[str, Any], operation: str, subject: str, place: str) -> None:
    """Raise `WrongEndpoint` for a successful answer that no S3 store gives.

    A web server's page with status 200 would pass for an object, or for an empty listing.
    """
    if operation in _WITH_CONTENT and is_web_page(answer):
        if "Body" in answer:
            answer["Body"].close()
        raise web_page_error(200, subject, place)
    missing = [key for key in _REQUIRED.get(operation, ()) if key not in answer]
    if missing:
        raise WrongEndpoint(
            f"the answer about {subject} from {place} lacks {missing[0]}",
            hint="is the endpoint an S3 store, or is a proxy in between?",
        )


def is_web_page(answer: Mapping[str, Any]) -> bool:
    """Return whether the answer is labelled as HTML."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("content-type", "")).lower().startswith("text/html")


def web_page_error(status: int, subject: str, place: str) -> StorageError:
    """Return the error for a web page as an answer; from 500 on it may be a proxy's and pass."""
    kind = StorageUnavailable if status >= 500 else WrongEndpoint
    return kind(
        f"{place} answered the request for {subject} with a web page (status {status})",
        hint="is the address of the S3 endpoint right, its port included? a console or a proxy "
        "is no S3 endpoint",
    )


def redirect_error(answer: Mapping[str, Any], place: str) -> WrongEndpoint:
    """Return the error for an answer with a status of 300 to 399, which is never followed."""
    metadata = answer.get("ResponseMetadata", {})
    headers, fault = metadata.get("HTTPHeaders", {}), answer.get("Error", {})
    address = _address(str(headers.get("location") or fault.get("Endpoint") or ""))
    region = region_of(answer)
    status = metadata.get("HTTPStatusCode", 0)
    target = f" to {address}" if address else ""
    return WrongEndpoint(
        f"{place} answered with a redirect{target} (status {status}), which is not followed",
        hint=_way_out(address, region),
    )


def region_of(answer: Mapping[str, Any]) -> str:
    """Return the region that the store names in its answer, "" if it names none."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    named = answer.get("Error", {}).get("Region")
    return _plain(str(headers.get("x-amz-bucket-region") or named or ""))


def _way_out(address: str, region: str) -> str:
    if region:
        return f"the bucket is in the region {region}: give region={region}, and its endpoint"
    if address:
        return f"if {address} is the S3 endpoint, give it as the endpoint; it got no credentials"
    return "is the region or the endpoint right?"


def _address(location: str) -> str:
    """Return scheme, host and port: a peer's text, whose path and query may hold anything."""
    try:
        parts = urlsplit(location if "//" in location else f"https://{location}")
        host, port = _plain(parts.hostname or ""), parts.port
    except ValueError:
        return ""
    if not host or parts.scheme not in ("http", "https"):
        return ""
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def _plain(text: str) -> str:
    is_plain = all(c.isascii() and (c.isalnum() or c in ".-:") for c in text)
    return text[:100] if is_plain else ""
