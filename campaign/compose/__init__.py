"""Composition of letters: a recipient goes in, the bytes of one letter come out, always the same for the same input."""
