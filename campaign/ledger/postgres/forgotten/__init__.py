"""Forgetting a person in a store: what is erased there, and how each machine learns to erase its own copies."""
