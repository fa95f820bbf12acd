"""The dashboard as people meet it: a real installation, real workers, a real browser."""
