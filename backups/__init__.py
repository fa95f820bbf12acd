"""The catalog: servers, databases, repositories, backups, and the pages about them."""
