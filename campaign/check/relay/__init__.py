"""Checks of the relays: they are greeted, nothing is sent."""
