"""The format of a backup's members: contents, dependencies, offsets."""
