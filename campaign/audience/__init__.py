"""LOAD: who gets it. Reads the source, screens its rows and freezes the numbered plan."""
