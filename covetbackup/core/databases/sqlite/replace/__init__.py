"""Replacing a database: the swap, its locks, and the retained database."""
