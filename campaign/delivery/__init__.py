"""How it goes out: connections, mail transactions, pacing, and what a reply means."""
