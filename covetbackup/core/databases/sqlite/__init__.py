"""SQLite: one database file, backed up as the single member `main.sqlite`.

`engine` is the only module that is imported from outside.
"""
