"""MySQL and MariaDB: parallel logical backup on one snapshot, and restore.

The stock dump programs are used. Which of the two a server is, is data (`flavour`), not a copy of
the code.
"""
