"""Encrypted streams and their keys. Knows bytes and keys, not storages or databases."""
