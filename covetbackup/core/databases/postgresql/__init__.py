"""PostgreSQL: logical backup through the stock client programs, restore into a new database."""
