"""Restores: requests, preflight, progress and results. May look at `backups`, never the reverse."""
