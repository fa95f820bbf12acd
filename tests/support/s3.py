"""Fixtures: private S3 servers."""
