"""Restores of rows of selected tables into an existing database, in one transaction."""
