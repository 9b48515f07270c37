"""The text part: rendered from its own template, or derived from the HTML part."""
