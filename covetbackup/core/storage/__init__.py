"""Storages of objects: one contract (`base`), one conformance suite, several drivers."""
