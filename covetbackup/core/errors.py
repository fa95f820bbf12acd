"""Every error the engine raises on purpose.

    CovetError(message, hint="", details="")
    ├─ ConfigurationError     ToolMissing · ToolTooOld · BadSetting
    ├─ StreamError            SourceFailed · SinkFailed · NoProgress
    ├─ StorageError           ObjectNotFound · ObjectExists · StorageUnavailable (transient)
    │                         StorageFull · AccessRefused (DeleteRefused) · UploadLost
    │                         WrongEndpoint
    ├─ IntegrityError         NotAnArchive · Truncated · Tampered · DigestMismatch
    │                         ManifestInvalid · TooLarge · Untrusted
    ├─ KeyUnavailable         WrongKey · UnknownRecipient · WrongPassphrase
    ├─ DatabaseError          DatabaseUnavailable (LoginRefused) · Unreadable · Incomplete
    │                         ResultDiffers
    └─ Conflict               ServerBusy · TargetNotEmpty
    Cancelled(BaseException)  so that no driver's "except Exception" can swallow it

A message is lower case, has no full stop and names the object; `hint` tells the operator what
to try next; `details` is what the driver or system said itself, for whom the sentence is not
enough. `code` is stable: scripts, the catalog and exit statuses may rely on it.
"""

from __future__ import annotations

from covetbackup.core.capitals import capitalised


class CovetError(Exception):
    """The base of all: `str(error)` is one sentence for people, `hint` the next step."""

    def __init__(self, message: str, hint: str = "", details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    @property
    def code(self) -> str:
        """The stable name of the kind of error."""
        return type(self).__name__


def sentence(error: CovetError) -> str:
    """Return the error as people read it: cause and next step, with capitals and full stops."""
    return " ".join(as_sentence(text) for text in (error.message, error.hint) if text)


def as_sentence(text: str) -> str:
    """Return a message or hint with a capital and a full stop; "" stays empty.

    A text that begins with a name gets no capital.
    """
    end = "" if not text or text.endswith(("?", ".", "!", ";")) else "."
    return f"{capitalised(text)}{end}"


class Cancelled(BaseException):
    """The operator asked for the work to stop; everything unfinished is undone."""


class ConfigurationError(CovetError):
    """A setting, argument or tool is missing or wrong; nothing was started."""


class ToolMissing(ConfigurationError):
    """A client program is not installed."""


class ToolTooOld(ConfigurationError):
    """A client program is older than the server it must serve."""


class BadSetting(ConfigurationError):
    """A value cannot be used as given."""


class StreamError(CovetError):
    """Bytes stopped moving."""


class SourceFailed(StreamError):
    """The producer ended badly; what it sent must not be used."""


class SinkFailed(StreamError):
    """The consumer ended badly; it did not take everything."""


class NoProgress(StreamError):
    """No byte moved for longer than the no-progress limit."""

    @property
    def code(self) -> str:
        """The stable code, which is older than the name of this class."""
        return "Stalled"


class StorageError(CovetError):
    """A storage did not do what was asked."""


class ObjectNotFound(StorageError):
    """No object has that name."""


class ObjectExists(StorageError):
    """The name is taken; objects are never overwritten."""


class StorageUnavailable(StorageError):
    """A passing fault: trying again later may help."""


class StorageFull(StorageError):
    """No room is left."""


class AccessRefused(StorageError):
    """Credentials are missing, wrong, expired or not allowed to do this."""


class DeleteRefused(AccessRefused):
    """These credentials, or this user, may not delete; what was to be deleted is still there."""


class WrongEndpoint(StorageError):
    """The answer is not the storage's: a redirect, a web page. It tells nothing about objects."""


class UploadLost(StorageError):
    """The storage dropped an unfinished upload; only starting the object again can help."""


NOT_ITS_FAULT = (StorageUnavailable, AccessRefused, WrongEndpoint, StorageFull)
"""Storage errors that say nothing about the object that was to be read: no reading needs room, so
what is full is this machine's own temporary directory."""


class IntegrityError(CovetError):
    """Stored bytes are not the bytes that were written."""


class NotAnArchive(IntegrityError):
    """The bytes are not ours, or need a newer version of the reader."""


class Truncated(IntegrityError):
    """The end is missing."""


class Tampered(IntegrityError):
    """Authentication failed: changed, moved, repeated or foreign bytes."""


class DigestMismatch(IntegrityError):
    """Length or SHA-256 differs from the manifest."""


class ManifestInvalid(IntegrityError):
    """A manifest or keys object is malformed, edited or in the wrong place."""


class TooLarge(IntegrityError):
    """More bytes came out than were declared: a decompression bomb or damage."""


class Untrusted(IntegrityError):
    """Intact, but no trusted signer or own secret key proves its origin."""


class KeyUnavailable(CovetError):
    """No key at hand opens this backup."""


class WrongKey(KeyUnavailable):
    """A key was tried and is not the right one."""


class UnknownRecipient(KeyUnavailable):
    """No slot of the backup belongs to a key in the keyring."""


class WrongPassphrase(WrongKey):
    """The passphrase does not open the slot it was tried on."""


class DatabaseError(CovetError):
    """A database server or file did not do what was asked."""


class DatabaseUnavailable(DatabaseError):
    """No connection: wrong host, port, name, credentials, or the server is down."""


class LoginRefused(DatabaseUnavailable):
    """The server was reached and refuses the login: waiting will not help."""


class Unreadable(DatabaseError):
    """Objects exist that the backup role may not read; each is named."""


class Incomplete(DatabaseError):
    """The stream ended without what proves it whole."""


class ResultDiffers(DatabaseError):
    """The restored database is not what the manifest promises."""


class Conflict(CovetError):
    """Something else is in the way."""


class ServerBusy(Conflict):
    """A lock or connection could not be had in time."""


class TargetNotEmpty(Conflict):
    """The restore target already exists or holds data; it was left untouched."""
