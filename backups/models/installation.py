"""The one row that says this catalog was set up, and with which key its secrets are sealed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Installation(models.Model):
    """`canary` is a sealed known text: opening it proves that the right key is at hand. `place` is
    where the catalog lies that this row was written in, "" until it is written down: a
    copy of the catalog has the row, but lies elsewhere (see `quarantine`)."""

    canary = models.TextField(editable=False)
    place = models.CharField(max_length=100, blank=True, default="", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="one_installation")]

    def __str__(self) -> str:
        return "installation"
