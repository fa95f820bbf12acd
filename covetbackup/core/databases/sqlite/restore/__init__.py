"""Restores: into a new database or an existing one, with the checks before them."""
