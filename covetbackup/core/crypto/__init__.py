"""Sealed streams and the keys that open them. Knows bytes and keys, not storages or databases."""
