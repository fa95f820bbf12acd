"""The one row that says this catalog was set up, and with which key its secrets are encrypted."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Installation(models.Model):
    """The one row about this installation.

    `canary` is an encrypted known text: decrypting it proves that the right key is at hand. `place`
    is the location of the catalog that this row was written in, "" until it is recorded: a copy of
    the catalog has the row, but another location (see `quarantine`).
    """

    canary = models.TextField(editable=False)
    place = models.CharField(max_length=100, blank=True, default="", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="one_installation")]

    def __str__(self) -> str:
        return "installation"
