"""Bytes in motion: sources, filters, sinks, and the one loop that joins them."""
