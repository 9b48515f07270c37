"""Before the first letter: which run, whom earlier runs served, what must hold."""
