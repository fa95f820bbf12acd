"""Fixtures: private PostgreSQL servers."""
