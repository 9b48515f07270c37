"""When the next letter may go: rates, windows, ramps, and their state shared by processes."""
