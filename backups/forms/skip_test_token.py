"""Tokens that allow saving an unreachable server untested, issued only with the failed test.

A token is signed, for one user and one address, and valid for a quarter of an hour. What was not
tested first, or what the server itself refused, cannot be saved untested.
"""

from __future__ import annotations

from django.core import signing

from backups.forms.servers import ServerForm
from backups.models import Server
from covetbackup.access.models import User
from covetbackup.core.errors import CovetError, DatabaseUnavailable, LoginRefused

_SALT = "backups.untested"
_SECONDS = 900
_ADDRESS_FIELDS = ("kind", "host", "port", "user", "folder")


def issue(form: ServerForm, user: User, problem: CovetError) -> str:
    """Return a token to save `form` despite `problem`, "" unless the server was unreachable."""
    if not isinstance(problem, DatabaseUnavailable) or isinstance(problem, LoginRefused):
        return ""
    return signing.dumps([*_address(form.instance, user), form.has_typed_password()], salt=_SALT)


def verify(form: ServerForm, user: User, token: str) -> bool:
    """Return whether `token` was issued for the address in `form`.

    A password that was entered then and is missing now (none is ever sent back to a browser)
    becomes an error of the form.
    """
    try:
        *address, had_password = signing.loads(token, salt=_SALT, max_age=_SECONDS)
    except (signing.BadSignature, ValueError):
        return False
    if address != _address(form.instance, user):
        return False
    if had_password and not form.has_typed_password():
        form.add_error("password", "Enter the password again: it is never sent back to a browser.")
    return True


def _address(server: Server, user: User) -> list[object]:
    return [user.pk, server.pk, *(getattr(server, name) for name in _ADDRESS_FIELDS)]
