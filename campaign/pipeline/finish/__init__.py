"""The end of a run: the facts, and the files written from them."""
