"""Backups: one snapshot and the readers that share it."""
