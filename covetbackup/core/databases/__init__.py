"""Database kinds, one folder each, both directions inside. Kinds do not know each other."""
