"""Lists that arrive over a pipe or from a server; a copy is kept, because a list is read more than once."""
