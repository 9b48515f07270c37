"""Forgetting a person in a store: by the command, and on every other machine by its next command."""
