"""The command line: one file per command, exit codes in one place."""
