"""What the pages of restores ask: one module for each question."""
