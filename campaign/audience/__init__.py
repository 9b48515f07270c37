"""The recipients: reads the list, screens its rows and freezes the numbered plan."""
