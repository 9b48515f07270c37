"""The plan, the frozen and numbered list that one run serves: its writer, its reader, its line format."""
