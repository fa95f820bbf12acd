"""Addresses of signing in, profile and team."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
