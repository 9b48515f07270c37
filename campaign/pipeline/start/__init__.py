"""Before the first letter: which run, who was served by earlier runs, what must hold."""
