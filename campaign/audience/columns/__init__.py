"""The columns of a list: their types, their names in templates, and rows gathered by a key."""
