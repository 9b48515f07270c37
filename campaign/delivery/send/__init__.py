"""Sending: many connections at once, one letter after another on each."""
