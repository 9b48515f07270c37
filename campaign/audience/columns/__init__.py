"""The columns of a list: their types, their names in templates, and grouping of rows by key."""
