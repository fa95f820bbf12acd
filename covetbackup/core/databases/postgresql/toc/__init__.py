"""The table of contents of pg_dump's custom and directory archives, as values."""
