"""Templates: Jinja in a sandbox, with limits, local files, filters, and constant text separated from values."""
