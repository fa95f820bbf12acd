"""Who may do what: users, teams, roles and permissions. Knows no backups and no servers."""
