"""DNS checks: the sender's records, SPF, the list's domains."""
