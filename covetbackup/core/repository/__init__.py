"""A repository: a storage with our layout, marker, manifests and keys objects."""
