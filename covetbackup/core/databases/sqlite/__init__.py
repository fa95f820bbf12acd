"""SQLite: one database file, backed up as the single member `main.sqlite` and restored to a new
path. `engine` is the entrance; the other modules are its phases."""
