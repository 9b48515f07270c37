"""Workers: several processes, on one machine or many, that serve one run from a store they share."""
