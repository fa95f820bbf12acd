"""Where objects live: one contract (`base`), one conformance suite, several drivers."""
