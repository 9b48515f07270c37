"""Sheets of Excel and LibreOffice, read in a separate process with bounded memory and time."""
