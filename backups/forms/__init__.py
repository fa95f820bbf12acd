"""What people may enter: checked here for shape, by the catalog for meaning."""

from __future__ import annotations
