"""MySQL and MariaDB: parallel logical backup by the stock dump programs on one snapshot, restore
into a new database. Which of the two a server is, is data (`flavour`), not a copy of the code."""
