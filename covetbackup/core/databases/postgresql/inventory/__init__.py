"""What a database holds: objects, row counts, and what must be compared after a restore."""
