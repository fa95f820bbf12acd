"""Translation of boto3's errors into the storage's own."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    ResponseStreamingError,
    SSLError,
    TokenRetrievalError,
)

from covetbackup.core.errors import (
    AccessRefused,
    BadSetting,
    CovetError,
    DeleteRefused,
    ObjectExists,
    ObjectNotFound,
    StorageError,
    StorageFull,
    StorageUnavailable,
    UploadLost,
    WrongEndpoint,
)
from covetbackup.core.storage.s3_answers import (
    is_web_page,
    redirect_error,
    region_of,
    web_page_error,
)

_WRONG_CREDENTIALS = {
    "AccountProblem",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidSecurity",
    "InvalidToken",
    "NotSignedUp",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
_CREDENTIAL_CODES = {"AccessDenied", *_WRONG_CREDENTIALS}
_FULL_CODES = {"QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull"}
_REGION_CODES = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_PASSING_CODES = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException"}
_PERMISSIONS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject and s3:ListBucket",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectsV2": "s3:ListBucket",
}
"""By operation, in the words of Amazon's policies; all that is not here takes s3:PutObject."""
_DELETIONS = ("AbortMultipartUpload", "DeleteObject")
_CAPITALISED = re.compile(r"([A-Z]+(?![a-z])|[A-Z][a-z])")
_NO_CREDENTIALS = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)
_NETWORK = (ConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError)


class NotSupported(StorageError):
    """The store does not know something the request asked for (HTTP 501)."""


class BeyondEnd(StorageError):
    """The range asked for begins at or after the end of the object."""


def storage_error(error: Exception, subject: str, place: str) -> CovetError:
    """Return the error to raise `from error`: what happened to `subject` in `place`."""
    if isinstance(error, ClientError):
        return _answer(error, subject, place)
    if isinstance(error, _NO_CREDENTIALS):
        return AccessRefused(
            f"no usable credentials for {place}",
            hint="give an access key, or set up the default ones of the AWS tools",
        )
    if isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return AccessRefused(
            f"the certificate of {place} is not trusted",
            hint="does the endpoint's name match, is its authority installed?",
            details=_details(error),
        )
    if isinstance(error, _NETWORK):
        return StorageUnavailable(
            f"no answer about {subject} from {place}: {_words(type(error).__name__)}",
            hint="is the endpoint right and reachable?",
            details=_details(error),
        )
    if isinstance(error, ParamValidationError):
        return BadSetting(f"{subject} in {place}: the request is not valid")
    if isinstance(error, BotoCoreError):
        return StorageError(f"{subject} in {place}: {_words(type(error).__name__)}")
    return StorageUnavailable(
        f"the answer about {subject} from {place} is not S3",
        hint="is the endpoint an S3 store, or is a proxy in between?",
    )


def _details(error: Exception) -> str:
    """What this machine's own driver said: nothing a peer sent is in it."""
    return " ".join(str(error).split())[:500]


def _answer(error: ClientError, subject: str, place: str) -> CovetError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "RequestTimeTooSkewed":
        return _skewed(error, place)
    if code == "NoSuchBucket":
        return StorageError(
            f"{place} does not exist",
            hint="create it, or is the name wrong?",
            details=f"{_words(code)} (status {status})",
        )
    if code == "NoSuchUpload":
        return UploadLost(
            f"{place} dropped the upload of {subject}",
            hint="does a lifecycle rule abort uploads too early?",
        )
    if 300 <= status < 400:
        return redirect_error(error.response, place)
    # An answer to HEAD has no body, so its label says nothing.
    has_body = not error.operation_name.startswith("Head")
    if has_body and code in ("", str(status)) and is_web_page(error.response):
        return web_page_error(status, subject, place)
    if code in _FULL_CODES or status == 507:
        return StorageFull(
            f"no room for {subject} in {place}: {_words(code)}",
            hint="free space, raise the quota or keep fewer backups",
        )
    if code in _REGION_CODES and (region := region_of(error.response)):
        return WrongEndpoint(f"{place} is in the region {region}", f"give region={region}")
    if code in _CREDENTIAL_CODES or status in (401, 403, 405):
        return _refused(error.operation_name, code, status, subject=subject, place=place)
    return _answer_by_status(code, status, subject, place)


def _refused(
    operation: str, code: str, status: int, *, subject: str, place: str
) -> AccessRefused | StorageError:
    details = f"{_words(code)} (status {status})"
    permission = _PERMISSIONS.get(operation, "s3:PutObject")
    if operation in _DELETIONS and code not in _WRONG_CREDENTIALS:
        return DeleteRefused(
            f"{place} does not let these credentials delete {subject}",
            hint=f"allow them {permission} there, or use credentials that may delete",
            details=details,
        )
    if status == 405:
        return StorageError(f"{place} refused {subject}: {details}")
    return AccessRefused(
        f"{place} refused the credentials for {subject}: {_words(code or str(status))}",
        hint=f"are they right, still valid and allowed to do this? it takes {permission}",
        details=details,
    )


def _answer_by_status(code: str, status: int, subject: str, place: str) -> CovetError:
    if status == 501:
        return NotSupported(f"{place} cannot do what {subject} needs: {_words(code)}")
    if code in _PASSING_CODES or status >= 500 or status == 429:
        return StorageUnavailable(
            f"{place} cannot serve {subject} now: {_words(code)}",
            hint="try again later; the store or a proxy in between is overloaded or out of order",
        )
    if status == 404:
        return ObjectNotFound(f"{subject} does not exist in {place}")
    if status == 409:
        return UploadLost(f"{place} saw a conflicting change of {subject}: {_words(code)}")
    if status == 416:
        return BeyondEnd(f"{subject} in {place} has no bytes there")
    if status == 412:
        return ObjectExists(f"{subject} already exists in {place}")
    hint = "does the endpoint speak S3, and http or https as given?" if code.isdigit() else ""
    return StorageError(f"{place} refused {subject}: {_words(code)} (status {status})", hint)


def _skewed(error: ClientError, place: str) -> AccessRefused:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    hint = "set the clock of this machine"
    try:
        theirs = parsedate_to_datetime(headers.get("date", ""))
        skew = round((datetime.now(UTC) - theirs).total_seconds())
    except (TypeError, ValueError):  # no date, or one without a zone
        return AccessRefused(f"the clocks of this machine and of {place} differ", hint)
    direction = "ahead of" if skew > 0 else "behind"
    return AccessRefused(f"the clock here is {abs(skew)} seconds {direction} {place}", hint)


def _words(code: str) -> str:
    """`SlowDown` as "slow down"; a peer's text is kept short and to letters and digits."""
    plain = "".join(c for c in code if c.isascii() and c.isalnum())
    return _CAPITALISED.sub(r" \1", plain).strip().lower()[:60]
