"""Bytes to text, and which encodings to suggest when none was named."""
