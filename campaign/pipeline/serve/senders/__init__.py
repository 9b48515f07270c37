"""What makes the passes of a run: one sender in its own process, or several in processes of their own."""
