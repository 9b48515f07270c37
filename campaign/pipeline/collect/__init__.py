"""`campaign collect`: read what came back, find whom it is about, judge it, keep it, and act on it."""
