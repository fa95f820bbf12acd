"""Use cases: each reads as a list of named phases with the dangerous step last."""
