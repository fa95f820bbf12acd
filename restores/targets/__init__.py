"""Kinds of servers as targets of a restore: what to check there, and what to clean up."""
