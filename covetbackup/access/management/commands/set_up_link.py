"""The command `covetbackup set_up_link`: print the address to create the first owner at."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from covetbackup.access.models import User
from covetbackup.access.set_up import set_up_link
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report
from covetbackup.manual_command import ManualCommand


class Command(ManualCommand):
    manual = Manual(
        "print the one-time link for the first owner",
        "It works for a day, and only while there is no user.",
        "covetbackup set_up_link",
    )
    exits = {0: "done", 1: "there is a user already"}

    def handle(self, *, json: bool, **_: Any) -> None:
        if User.objects.exists():
            raise CommandError(
                "there are users already; sign in, or ask an owner for an invitation"
            )
        link = set_up_link()
        self.print_report(Report({"link": link}, [link]), as_json=json)
