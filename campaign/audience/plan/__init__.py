"""The frozen, numbered list that one run serves: its writer, its reader, and the form of a line."""
