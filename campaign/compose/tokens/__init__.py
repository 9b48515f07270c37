"""Tokens that stand for a recipient: in unsubscribe links, and in addresses that mail comes back to."""
