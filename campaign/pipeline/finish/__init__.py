"""After the last letter: the facts and everything written from them."""
