"""Restoring into a database that is there: in one transaction, all of it or nothing."""
