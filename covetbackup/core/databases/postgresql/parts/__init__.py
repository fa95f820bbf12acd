"""A custom-format archive that is dumped and loaded in parts, several at once."""
