"""Leave to save a server that could not be reached: given only with the failure that it excuses.

The leave is signed, for one user, one place and a quarter of an hour. Nobody can save untested
what was not tried first, nor what the server itself refused.
"""

from __future__ import annotations

from django.core import signing

from backups.forms.servers import ServerForm
from backups.models import Server
from covetbackup.access.models import User
from covetbackup.core.errors import CovetError, DatabaseUnavailable, LoginRefused

_SALT = "backups.untested"
_SECONDS = 900
_PLACE = ("kind", "host", "port", "user", "folder")


def leave_for(form: ServerForm, user: User, problem: CovetError) -> str:
    """The leave to save `form` although `problem`, "" where waiting would not help either."""
    if not isinstance(problem, DatabaseUnavailable) or isinstance(problem, LoginRefused):
        return ""
    return signing.dumps([*_place(form.instance, user), form.has_typed_password()], salt=_SALT)


def is_excused(form: ServerForm, user: User, leave: str) -> bool:
    """Whether `leave` is for what was entered. A password that was typed when it was given and is
    missing now, since none is ever sent back to a browser, becomes an error of the form."""
    try:
        *place, had_password = signing.loads(leave, salt=_SALT, max_age=_SECONDS)
    except (signing.BadSignature, ValueError):
        return False
    if place != _place(form.instance, user):
        return False
    if had_password and not form.has_typed_password():
        form.add_error("password", "Type the password again: it is never sent back to a browser.")
    return True


def _place(server: Server, user: User) -> list[object]:
    return [user.pk, server.pk, *(getattr(server, name) for name in _PLACE)]
