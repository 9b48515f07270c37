"""`campaign init`: look at a list, and write a first campaign file and a letter for it; nothing is overwritten."""
