"""In-place restores: selected tables into an existing database, in one transaction."""
