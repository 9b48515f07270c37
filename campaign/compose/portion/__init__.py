"""A portion of letters made at once: what most rows need is tested, escaped and quoted by columns."""
