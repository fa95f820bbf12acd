"""`manage.py set_up_link`: the address at which the first owner makes his account.

Exit status 1 if there is a user already.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from covetbackup.access.models import User
from covetbackup.access.set_up import set_up_link


class Command(BaseCommand):
    help = "Print the one-time link for the first owner."

    def handle(self, **_: Any) -> None:
        if User.objects.exists():
            raise CommandError(
                "there are users already; sign in, or ask an owner for an invitation"
            )
        self.stdout.write(set_up_link())
