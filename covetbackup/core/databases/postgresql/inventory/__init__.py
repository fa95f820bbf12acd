"""Inventory of a database: objects, row counts, and what is compared after a restore."""
