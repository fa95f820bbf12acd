"""PostgreSQL: logical backups and restores by its own client programs and COPY.

`engine` is the only module that is imported from outside.
"""
