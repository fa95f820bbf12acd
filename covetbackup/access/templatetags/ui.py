"""Tags and filters that every template has: icons, badges, sizes, times, permissions."""

from __future__ import annotations

from django import template

register = template.Library()
