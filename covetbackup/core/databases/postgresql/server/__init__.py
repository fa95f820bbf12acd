"""The server: addresses, connections, client programs, accounts, liveness and errors."""
