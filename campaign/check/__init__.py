"""`campaign check`: everything short of sending, with a list of what is wrong or was not verified."""
