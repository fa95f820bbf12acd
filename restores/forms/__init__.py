"""Forms of the pages of restores, one module for each question."""
