"""SEND: how it goes out. Connections, transactions, pacing and what a reply means."""
