"""Which rows a preview shows: a few that tell the most, by what their letters look like."""
