"""The text part: from its own template, or made from the HTML."""
