"""SMTP delivery: relays, connections, mail transactions, pacing, and the meaning of replies."""
