"""The audit log: who did or tried what, chained so that no entry can change or vanish unseen."""
