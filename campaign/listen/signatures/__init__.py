"""Verifies that a webhook's request comes from the provider: one module for each scheme."""
