"""Templates: Jinja in a sandbox, its limits, its files, and what is the same for every row."""
