"""`campaign check`: everything short of sending, and an honest list of what is wrong."""
