"""Forms of the catalog: they check the shape of values, the catalog their meaning."""

from __future__ import annotations
