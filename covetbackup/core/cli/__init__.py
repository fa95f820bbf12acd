"""The command line, `python -m covetbackup.core`: arguments, commands, what is printed."""
