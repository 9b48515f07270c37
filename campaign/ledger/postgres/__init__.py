"""The ledger that several machines share, in PostgreSQL: editions, runs, shards with their journals, leases."""
