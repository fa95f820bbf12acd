"""The audit log: actions and denied attempts, in a hash chain that shows changes and removals."""
