"""The files of letters: opened once, and only from under the root."""
