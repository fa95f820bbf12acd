"""SQLite: one database file, backed up as the single member `main.sqlite`.

It is restored to a new path. `engine` is the entry; the other modules are its phases.
"""
