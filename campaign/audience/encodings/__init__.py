"""Decoding of text files, and suggestions for an encoding if none was named."""
